"""Where the payload's messages for the service manager come to: made before the container, gone when it has ended.

Apart from service.notifications.proxy, which reads it: a service that rests needs nothing of a plan.
"""

from __future__ import annotations

import os

from systemd_docker.plan.launch_plan import NOTIFY_SHARED_DIRECTORY, NOTIFY_SOCKET_NAME
from systemd_docker.sd.notify import Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.undo import Undo


def make_payload_socket(directory: str, undo: Undo) -> Listener:
    """The socket that the payload's messages come to, below directory, which does not exist yet.

    It is in a directory of its own, and that is what is mounted: a socket file of that name that is made again stays
    reachable, as a mounted file would not. The directory around it is 0700 and keeps other users of the host out;
    inside, every user that the payload may run as can write to the socket. undo gets what takes it all away again.
    Raises OSError.
    """
    shared = f"{directory}/{NOTIFY_SHARED_DIRECTORY}"
    path = f"{shared}/{NOTIFY_SOCKET_NAME}"
    os.mkdir(directory, 0o700)
    undo.callback(os.rmdir, directory)
    os.mkdir(shared)
    undo.callback(os.rmdir, shared)
    os.chmod(shared, 0o755)
    listener = Listener(path)
    undo.callback(listener.close)
    undo.callback(os.unlink, path)
    return listener
