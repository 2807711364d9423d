"""The table of docker-run's flags: one row per flag, and nothing about a flag anywhere else.

Docker's flags in its order, the same from 28.2 to 29.7. Where one flag fills one field of the create request, its row
says how (`combine`); create_request.py puts together the fields that several flags make.
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.pflag import Flag, switch
from systemd_docker.options.values import addresses, devices, environment, go_numbers, mounts, networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def merged(values: Sequence[object]) -> object:
    """Pairs to a mapping; the last of a name holds."""
    return dict(value for value in values if isinstance(value, tuple))


def attach_stream(text: str) -> str:
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise UsageError("must be one of stdin, stdout, stderr")
    return text.lower()


def link(text: str) -> str:
    """ "db" or "db:alias"."""
    if not text:
        raise UsageError("it is empty")
    if text.count(":") > 1:
        raise UsageError("must be CONTAINER or CONTAINER:ALIAS")
    return text


ULIMITS = frozenset({
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice",
    "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
})  # fmt: skip


def ulimit(text: str) -> tuple[str, int, int]:
    """ "nofile=1024:2048" -> ("nofile", 1024, 2048): soft, hard; -1 is unlimited, one number is both."""
    name, equals, limits = text.partition("=")
    if not equals:
        raise UsageError("must be NAME=SOFT[:HARD]")
    if name not in ULIMITS:
        raise UsageError(f"unknown limit '{name}', must be one of {', '.join(sorted(ULIMITS))}")
    parts = limits.split(":")
    if len(parts) > 2:
        raise UsageError("must be NAME=SOFT[:HARD]")
    hard, soft = (go_numbers.integer(part, base=10) for part in reversed(parts * (3 - len(parts))))
    if hard != -1 and (soft == -1 or soft > hard):
        raise UsageError(f"the soft limit is {'unlimited' if soft == -1 else soft}, above the hard limit {hard}")
    return name, soft, hard


def ulimits(values: Sequence[object]) -> object:
    """HostConfig.Ulimits: sorted, the last of a name holds."""
    limits = {value[0]: value for value in values if isinstance(value, tuple)}
    return [{"Name": name, "Soft": soft, "Hard": hard} for name, soft, hard in sorted(limits.values())]


FLAGS = (
    Flag("add-host", "list", "Add a line to the container's /etc/hosts (host:ip)", "HostConfig.ExtraHosts",
         addresses.extra_host, list, repeats=True),
    Flag("annotation", "map", "Pass an annotation on to the OCI runtime", "HostConfig.Annotations",
         environment.pair, merged, repeats=True, api=(1, 43)),
    Flag("attach", "list", "Attach to STDIN, STDOUT or STDERR", "AttachStdout", attach_stream, None, "a",
         repeats=True),
    Flag("blkio-weight", "uint16", "Share of block I/O, 10 to 1000; 0 leaves it to the engine",
         "HostConfig.BlkioWeight", go_numbers.natural16, default="0"),
    Flag("blkio-weight-device", "list", "Share of block I/O on one device", "HostConfig.BlkioWeightDevice",
         devices.weight, list, repeats=True),
    Flag("cap-add", "list", "Add a Linux capability", "HostConfig.CapAdd", str, None, repeats=True),
    Flag("cap-drop", "list", "Drop a Linux capability", "HostConfig.CapDrop", str, None, repeats=True),
    Flag("cgroup-parent", "string", "Parent of the container's cgroup", "HostConfig.CgroupParent"),
    Flag("cgroupns", "string", "Cgroup namespace: 'host' or 'private'; the engine chooses by default",
         "HostConfig.CgroupnsMode", combine=None, api=(1, 41)),
    Flag("cidfile", "string", "Write the container's ID to this file", "HostConfig.ContainerIDFile"),
    Flag("cpu-count", "int", "Number of CPUs (Windows only)", "HostConfig.CpuCount", go_numbers.integer,
         system="windows"),
    Flag("cpu-percent", "int", "Percent of the CPUs (Windows only)", "HostConfig.CpuPercent", go_numbers.integer,
         system="windows"),
    Flag("cpu-period", "int", "Period of the CPU quota, in microseconds", "HostConfig.CpuPeriod", go_numbers.integer),
    Flag("cpu-quota", "int", "CPU time per period, in microseconds", "HostConfig.CpuQuota", go_numbers.integer),
    Flag("cpu-rt-period", "int", "Period of the real-time CPU limit, in microseconds",
         "HostConfig.CpuRealtimePeriod", go_numbers.integer, api=(1, 25)),
    Flag("cpu-rt-runtime", "int", "Real-time CPU time per period, in microseconds",
         "HostConfig.CpuRealtimeRuntime", go_numbers.integer, api=(1, 25)),
    Flag("cpu-shares", "int", "CPU weight relative to other containers", "HostConfig.CpuShares", go_numbers.integer,
         short="c"),
    Flag("cpus", "decimal", "Number of CPUs", "HostConfig.NanoCpus", go_numbers.nano_cpus, api=(1, 25)),
    Flag("cpuset-cpus", "string", "CPUs the container may use (0-3, 0,1)", "HostConfig.CpusetCpus"),
    Flag("cpuset-mems", "string", "Memory nodes the container may use (0-3, 0,1)", "HostConfig.CpusetMems"),
    switch("detach", "Accepted for compatibility, no effect: systemd runs services in the background", short="d"),
    Flag("detach-keys", "string", "Accepted for compatibility, no effect: a service has no terminal to detach"),
    Flag("device", "list", "Add a host device (path, or CDI name)", "HostConfig.Devices", str, None, repeats=True),
    Flag("device-cgroup-rule", "list", "Add a rule to the allowed devices", "HostConfig.DeviceCgroupRules",
         devices.cgroup_rule, list, repeats=True),
    Flag("device-read-bps", "list", "Limit the bytes per second read from a device",
         "HostConfig.BlkioDeviceReadBps", devices.bytes_rate, list, repeats=True),
    Flag("device-read-iops", "list", "Limit the reads per second from a device", "HostConfig.BlkioDeviceReadIOps",
         devices.io_rate, list, repeats=True),
    Flag("device-write-bps", "list", "Limit the bytes per second written to a device",
         "HostConfig.BlkioDeviceWriteBps", devices.bytes_rate, list, repeats=True),
    Flag("device-write-iops", "list", "Limit the writes per second to a device",
         "HostConfig.BlkioDeviceWriteIOps", devices.io_rate, list, repeats=True),
    switch("disable-content-trust", "Skip the verification of signatures, which is not supported", default="true"),
    Flag("dns", "list", "Use this DNS server", "HostConfig.Dns", addresses.ip_text, list, repeats=True),
    Flag("dns-opt", "list", "", "HostConfig.DnsOptions", repeats=True, same_as="dns-option"),
    Flag("dns-option", "list", "Set a resolver option", "HostConfig.DnsOptions", str, list, repeats=True),
    Flag("dns-search", "list", "Search this DNS domain", "HostConfig.DnsSearch", addresses.search_domain, list,
         repeats=True),
    Flag("domainname", "string", "The container's NIS domain name", "Domainname"),
    Flag("entrypoint", "string", "Replace the image's ENTRYPOINT; an empty one clears it", "Entrypoint",
         combine=lambda values: [values[-1]]),
    Flag("env", "list", "Set an environment variable", "Env", environment.assignment, None, "e", repeats=True),
    Flag("env-file", "list", "Read environment variables from a file", "Env", str, None, repeats=True),
    Flag("expose", "list", "Expose a port or a range of ports", "ExposedPorts", str, None, repeats=True),
    Flag("gpus", "gpu-request", "Add GPUs ('all' for all of them)", "HostConfig.DeviceRequests", devices.gpus, None,
         repeats=True, api=(1, 40)),
    Flag("group-add", "list", "Join a group", "HostConfig.GroupAdd", str, list, repeats=True),
    Flag("health-cmd", "string", "Command that checks the health", "Healthcheck.Test", combine=None),
    Flag("health-interval", "duration", "Time between two checks (ms|s|m|h)", "Healthcheck.Interval",
         go_numbers.duration_nsec, None, default="0s"),
    Flag("health-retries", "int", "Consecutive failures that make it unhealthy", "Healthcheck.Retries",
         go_numbers.integer, None),
    Flag("health-start-interval", "duration", "Time between two checks while starting (ms|s|m|h)",
         "Healthcheck.StartInterval", go_numbers.duration_nsec, None, default="0s", api=(1, 44)),
    Flag("health-start-period", "duration", "Time after the start in which failures do not count (ms|s|m|h)",
         "Healthcheck.StartPeriod", go_numbers.duration_nsec, None, default="0s", api=(1, 29)),
    Flag("health-timeout", "duration", "Longest time that one check may take (ms|s|m|h)", "Healthcheck.Timeout",
         go_numbers.duration_nsec, None, default="0s"),
    switch("help", "Print this help"),
    Flag("hostname", "string", "The container's host name", "Hostname", short="h"),
    Flag("init", "", "Run an init in the container that forwards signals and reaps processes", "HostConfig.Init",
         go_numbers.boolean, default="false", api=(1, 25)),
    switch("interactive", "Connect standard input; needs StandardInput= in the unit", "OpenStdin", short="i"),
    Flag("io-maxbandwidth", "bytes", "Bytes per second on the system drive (Windows only)",
         "HostConfig.IOMaximumBandwidth", go_numbers.size_bytes, system="windows"),
    Flag("io-maxiops", "uint", "Operations per second on the system drive (Windows only)",
         "HostConfig.IOMaximumIOps", go_numbers.natural, system="windows"),
    Flag("ip", "string", "IPv4 address (172.30.100.104)", "NetworkingConfig.EndpointsConfig",
         addresses.ip_or_empty, None),
    Flag("ip6", "string", "IPv6 address (2001:db8::33)", "NetworkingConfig.EndpointsConfig",
         addresses.ip_or_empty, None),
    Flag("ipc", "string", "IPC namespace to use", "HostConfig.IpcMode"),
    Flag("isolation", "string", "Container isolation technology", "HostConfig.Isolation"),
    Flag("kernel-memory", "bytes", "Limit of the kernel's memory (API 1.40 and 1.41 only)",
         "HostConfig.KernelMemory", go_numbers.size_bytes, None),
    Flag("label", "list", "Set a label", "Labels", environment.label, None, "l", repeats=True),
    Flag("label-file", "list", "Read labels from a file", "Labels", str, None, repeats=True),
    Flag("link", "list", "Link to another container", "HostConfig.Links", link, list, repeats=True),
    Flag("link-local-ip", "list", "Link-local address of the container", "NetworkingConfig.EndpointsConfig",
         str, None, repeats=True),
    Flag("log-driver", "string", "The engine's log driver for the container", "HostConfig.LogConfig.Type"),
    Flag("log-opt", "list", "Option of the log driver", "HostConfig.LogConfig.Config", environment.pair, merged,
         repeats=True),
    Flag("mac-address", "string", "MAC address (92:d0:c6:0a:29:33)", "NetworkingConfig.EndpointsConfig",
         combine=None),
    Flag("memory", "bytes", "Memory limit", "HostConfig.Memory", go_numbers.size_bytes, short="m"),
    Flag("memory-reservation", "bytes", "Soft limit of memory",
         "HostConfig.MemoryReservation", go_numbers.size_bytes),
    Flag("memory-swap", "bytes", "Limit of memory and swap together; -1 for unlimited swap", "HostConfig.MemorySwap",
         go_numbers.size_bytes_or_unlimited),
    Flag("memory-swappiness", "int", "Swappiness, 0 to 100", "HostConfig.MemorySwappiness", go_numbers.integer, None,
         default="-1"),
    Flag("mount", "mount", "Mount a file system (type=…,source=…,target=…)", "HostConfig.Mounts", mounts.mount, None,
         repeats=True),
    Flag("name", "string", "The container's name"),
    Flag("net", "network", "", "HostConfig.NetworkMode", repeats=True, same_as="network"),
    Flag("net-alias", "list", "", "NetworkingConfig.EndpointsConfig", repeats=True, same_as="network-alias"),
    Flag("network", "network", "Connect to a network", "HostConfig.NetworkMode", networks.network, None,
         repeats=True),
    Flag("network-alias", "list", "Another name for the container in its first network",
         "NetworkingConfig.EndpointsConfig", str, None, repeats=True),
    switch("no-healthcheck", "Switch the image's HEALTHCHECK off", "Healthcheck.Test", None),
    switch("oom-kill-disable", "Never kill the container when memory runs out", "HostConfig.OomKillDisable"),
    Flag("oom-score-adj", "int", "Preference for being killed when memory runs out, -1000 to 1000",
         "HostConfig.OomScoreAdj", go_numbers.integer),
    Flag("pid", "string", "PID namespace to use", "HostConfig.PidMode", combine=None),
    Flag("pids-limit", "int", "Limit of processes and threads; -1 for unlimited", "HostConfig.PidsLimit",
         go_numbers.integer),
    Flag("platform", "string", "Platform of the image (linux/arm64)", api=(1, 32)),
    switch("privileged", "Give extended privileges to the container", "HostConfig.Privileged"),
    Flag("publish", "list", "Publish a port on the host", "HostConfig.PortBindings", str, None, "p", repeats=True),
    switch("publish-all", "Publish all exposed ports on random ports", "HostConfig.PublishAllPorts",
           short="P"),
    Flag("pull", "string", 'Pull the image first ("always", "missing", "never")', default="missing"),
    switch("quiet", "Write no message about pulling", short="q"),
    switch("read-only", "Mount the container's root file system read-only", "HostConfig.ReadonlyRootfs"),
    Flag("restart", "string", "Only 'no': use Restart= in the unit",
         "HostConfig.RestartPolicy", combine=None, default="no"),
    switch("rm", "Remove the container and its anonymous volumes when it ends", "HostConfig.AutoRemove", None),
    Flag("runtime", "string", "OCI runtime to use", "HostConfig.Runtime"),
    Flag("security-opt", "list", "Security option", "HostConfig.SecurityOpt", str, None, repeats=True),
    Flag("shm-size", "bytes", "Size of /dev/shm", "HostConfig.ShmSize", go_numbers.size_bytes),
    switch("sig-proxy", "Pass signals on to the container", default="true"),
    Flag("stop-signal", "string", "Signal that stops the container", "StopSignal"),
    Flag("stop-timeout", "int", "Seconds to wait before killing it", "StopTimeout", go_numbers.integer, api=(1, 25)),
    Flag("storage-opt", "list", "Option of the storage driver", "HostConfig.StorageOpt", str, None, repeats=True),
    Flag("sysctl", "map", "Set a kernel parameter of its namespaces", "HostConfig.Sysctls", environment.sysctl,
         merged, repeats=True),
    Flag("tmpfs", "list", "Mount a tmpfs (path[:options])", "HostConfig.Tmpfs", mounts.tmpfs, merged,
         repeats=True),
    switch("tty", "Allocate a pseudo-terminal", "Tty", short="t"),
    Flag("ulimit", "ulimit", "Resource limit (type=soft[:hard])", "HostConfig.Ulimits", ulimit, ulimits,
         repeats=True),
    switch("use-api-socket", "Mount the engine's socket"),
    Flag("user", "string", "User or UID, and group (name|uid[:group|gid])", "User", short="u"),
    Flag("userns", "string", "User namespace to use", "HostConfig.UsernsMode", combine=None),
    Flag("uts", "string", "UTS namespace to use", "HostConfig.UTSMode", combine=None),
    Flag("volume", "list", "Mount a volume or a host directory", "HostConfig.Binds", str, None, "v", repeats=True),
    Flag("volume-driver", "string", "Driver of the volumes that --volume makes", "HostConfig.VolumeDriver"),
    Flag("volumes-from", "list", "Mount the volumes of another container", "HostConfig.VolumesFrom", str, list,
         repeats=True),
    Flag("workdir", "string", "Working directory in the container", "WorkingDir", short="w"),
)  # fmt: skip
