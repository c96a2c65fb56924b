"""Things to practise on, all on this machine: a web site full of pictures, and other machines.

    with sandbox.site(delay=0.02) as web:
        crawl(master, web.url, "pictures")
    with sandbox.ssh_hosts(2) as hosts:
        SSHWorkers(master, hosts.names, ssh_config=hosts.config)

Only what is used is loaded: the site needs Pillow (`pip install 'dqlab[lab]'`).
"""

from typing import TYPE_CHECKING, Any

from dqlab.sandbox.site import Site, site

if TYPE_CHECKING:
    from dqlab.sandbox.ssh import ssh_hosts

__all__ = ["Site", "site", "ssh_hosts"]


def __getattr__(name: str) -> Any:
    """Import `ssh_hosts` when it is first used."""
    if name == "ssh_hosts":
        from dqlab.sandbox.ssh import ssh_hosts

        return ssh_hosts
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
