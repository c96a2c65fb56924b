"""Things to practise on, all on this machine: a web site full of pictures, and other machines.

    with sandbox.site(delay=0.02) as web:
        crawl(master, web.url, "pictures")
    with sandbox.ssh_hosts(2) as hosts:
        SSHWorkers(master, hosts.names, ssh_config=hosts.config)

Only what is used is loaded: the site needs Pillow (`pip install 'dqlab[lab]'`).
"""

from typing import TYPE_CHECKING

from dqlab.lazy_names import lazy_names
from dqlab.sandbox.site import Site, site

__all__ = ["Site", "site", "ssh_hosts"]

if TYPE_CHECKING:
    from dqlab.sandbox.ssh import ssh_hosts
else:
    __getattr__, __dir__ = lazy_names(__name__, {"ssh": ("ssh_hosts",)})
