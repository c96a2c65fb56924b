"""Workers on other machines, through the system's own ssh: nothing crosses a network unencrypted.

workers     SSHWorkers, which is what people touch
link        one machine: brings workers up there, and again when the line drops
tunnel      the ssh process, and what it is told
hosts       what may be written for a machine
bootstrap   what runs first over there
archive     dqlab in one file, for a machine that has none
"""

from dqlab.launch.ssh.hosts import Host
from dqlab.launch.ssh.workers import SSHWorkers

__all__ = ["Host", "SSHWorkers"]
