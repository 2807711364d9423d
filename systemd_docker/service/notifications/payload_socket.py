"""Where the payload's messages for the service manager come to: made before the container, gone when it has ended.

Apart from service.notifications.proxy, which reads it: a service that rests needs nothing of a plan.
"""

from __future__ import annotations

import os

from systemd_docker.plan.launch_plan import NOTIFY_SHARED_DIRECTORY, NOTIFY_SOCKET_NAME
from systemd_docker.sd.notify import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import ExitStack


def make_payload_socket(directory: str, cleanup: ExitStack) -> Listener:
    """The socket that the payload's messages come to, below directory, which does not exist yet.

    It is in a directory of its own, and that is what is mounted: a socket file of that name that is made again stays
    reachable, as a mounted file would not. The directory around it is 0700 and keeps other users of the host out;
    inside, every user that the payload may run as can write to the socket. cleanup gets what takes it all away again.
    Raises OSError.
    """
    shared = f"{directory}/{NOTIFY_SHARED_DIRECTORY}"
    path = f"{shared}/{NOTIFY_SOCKET_NAME}"
    os.mkdir(directory, 0o700)
    cleanup.callback(os.rmdir, directory)
    os.mkdir(shared)
    cleanup.callback(os.rmdir, shared)
    os.chmod(shared, 0o755)
    listener = Listener(path)
    cleanup.callback(listener.close)
    cleanup.callback(os.unlink, path)
    return listener
