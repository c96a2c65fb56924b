"""Workers on other machines, under the name by which programs know them; the code is in `dqlab.launch.ssh`."""

from dqlab.launch.ssh import Host, SSHWorkers

__all__ = ["Host", "SSHWorkers"]
