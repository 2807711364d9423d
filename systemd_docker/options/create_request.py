"""From a docker-run command line to the create request: `POST /containers/create?name=…&platform=…`.

The same request, or the same refusal, as the docker CLI 29.7 makes; tests/differential has the exceptions. Deliberate
differences, unless the request is to be plain docker's (see create_request):

* --restart other than "no" is refused: two managers restarting one container fight;
* --rm leaves HostConfig.AutoRemove alone: systemd-docker removes the container once it has read its exit status;
* --detach has no effect, the container is attached to all the same;
* --interactive is refused unless there is a standard input to connect;
* settings that an older engine would silently leave out (a mount's subpath, a gateway's priority) are refused.

--disable-content-trust=false is always refused: systemd-docker verifies no signatures.
"""

from __future__ import annotations

from systemd_docker.engine import image_reference
from systemd_docker.errors import UsageError
from systemd_docker.frozen import frozen
from systemd_docker.options import api_socket, checks
from systemd_docker.options.values import (
    addresses,
    devices,
    environment,
    mounts,
    networks,
    platforms,
    ports,
    security,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from systemd_docker.jsonobj import JsonObject, JsonValue
    from systemd_docker.options.client import Client
    from systemd_docker.options.pflag import Flag
    from systemd_docker.options.run_options import RunOptions

_NAMESPACES = (
    ("pid", "PID", "PidMode", ("", "host")),
    ("uts", "UTS", "UTSMode", ("", "host")),
    ("userns", "USER", "UsernsMode", ("", "host")),
    ("cgroupns", "CGROUP", "CgroupnsMode", ("", "host", "private")),
)
"""Namespaces whose mode is checked here; the engine checks the others. --pid takes container:NAME too."""

_HEALTH_TIMES = (
    "health-interval",
    "health-timeout",
    "health-retries",
    "health-start-period",
    "health-start-interval",
)

_EMPTY_MATTERS = frozenset({"MaskedPaths", "ReadonlyPaths"})
"""Left out, these would be the engine's own lists."""


@frozen
class CreateRequest:
    """name and platform are query parameters, "" to leave them out; body is sent as JSON.

    docker_config: the content of /run/secrets/docker/config.json in the container, to be written before it starts
                   (root's, mode 0600); None for no such file. See api_socket.py.
    """

    name: str
    platform: str
    body: dict[str, JsonValue]
    docker_config: JsonObject | None = None


def create_request(options: RunOptions, client: Client, *, plain: bool = False) -> CreateRequest:
    """Return the request that the docker CLI would send for the same command line. Raises UsageError.

    plain: docker's request exactly, without the deliberate differences of the module's docstring.
    """
    checks.support(options, client)
    checks.pull(options)
    body = _body(options, client, plain=plain)
    if not plain:
        checks.service(options, client, _mounts(options, client))
    checks.streams(options, client)
    checks.cidfile(options, client, may_exist=not plain)
    image_reference.check_reference(options.image)
    checks.trust(options, client)
    platform = client.environ.get("DOCKER_DEFAULT_PLATFORM", "")
    if options.given("platform"):
        platform = options.text("platform")
    platform = platforms.platform(platform) if platform and client.api >= (1, 41) else ""
    checks.fields(options, client, _mounts(options, client))
    return CreateRequest(options.text("name"), platform, body, _docker_config(options, client))


def _body(options: RunOptions, client: Client, *, plain: bool) -> dict[str, JsonValue]:
    """Return the create request's body."""
    checks.swappiness(options)
    body: dict[str, JsonValue] = {"Image": options.image, "Cmd": [*options.command]}
    for part in (
        _single_flags(options),
        _streams(options, plain=plain),
        _volumes(options, client),
        _ports(options),
        _devices(options),
        _environment(options, client),
        _namespaces(options),
        _endings(options, plain=plain),
        _logging_and_security(options, client),
        _storage(options),
        _healthcheck(options),
        _networks(options),
        _older_fields(options, client),
    ):
        _merge(body, part)
    checks.removal(options)
    return _without_empty(body)


def _merge(body: dict[str, JsonValue], part: dict[str, JsonValue]) -> None:
    for key, value in part.items():
        inner = body.get(key)
        if isinstance(value, dict) and isinstance(inner, dict):
            _merge(inner, value)
        else:
            body[key] = value


def _without_empty(body: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Leave out empty fields, which the engine takes for absent ones."""
    host_config = body["HostConfig"]
    assert isinstance(host_config, dict)
    kept = {key: value for key, value in host_config.items() if value not in ([], {}) or key in _EMPTY_MATTERS}
    return {key: value for key, value in body.items() if value not in ([], {})} | {"HostConfig": kept}


def _nested(path: str, value: JsonValue) -> dict[str, JsonValue]:
    """("HostConfig.Memory", 1) -> {"HostConfig": {"Memory": 1}}."""
    for step in reversed(path.split(".")):
        value = {step: value}
    assert isinstance(value, dict)
    return value


def _json(value: object) -> JsonValue:
    assert value is None or isinstance(value, str | int | list | dict)
    return value


def _single_flags(options: RunOptions) -> dict[str, JsonValue]:
    """The fields that one flag fills alone, as its row in the table says."""
    uses: dict[str, tuple[Flag, list[object]]] = {}
    for flag, value in options.values:
        uses.setdefault(flag.long, (flag, []))[1].append(value)
    body: dict[str, JsonValue] = {"HostConfig": {}}
    for flag, values in uses.values():
        if flag.field and flag.combine:
            _merge(body, _nested(flag.field, _json(flag.combine(values))))
    return body


def _streams(options: RunOptions, *, plain: bool) -> dict[str, JsonValue]:
    attach = set(options.texts("attach")) or {"stdout", "stderr"}
    if options.switch("interactive"):
        attach.add("stdin")
    if plain and options.switch("detach"):
        attach.clear()
    return {
        "AttachStdin": "stdin" in attach,
        "AttachStdout": "stdout" in attach,
        "AttachStderr": "stderr" in attach,
        "StdinOnce": "stdin" in attach and options.switch("interactive"),
    }


def _volumes(options: RunOptions, client: Client) -> dict[str, JsonValue]:
    specs = dict.fromkeys(options.texts("volume"))
    parsed = [mounts.volume(spec, client.directory) for spec in specs]
    host_config: dict[str, JsonValue] = {
        "Binds": [spec for spec, is_bind in parsed if is_bind],
        "Mounts": [*_mounts(options, client)],
    }
    return {"Volumes": {spec: {} for spec, is_bind in parsed if not is_bind}, "HostConfig": host_config}


def _mounts(options: RunOptions, client: Client) -> list[dict[str, JsonValue]]:
    asked = [
        mounts.with_directory(value, client.directory) for value in options.all("mount") if isinstance(value, dict)
    ]
    if options.switch("use-api-socket"):
        asked.append(api_socket.mount(client.socket_path))
    return asked


def _ports(options: RunOptions) -> dict[str, JsonValue]:
    published = ports.bindings(options.texts("publish"))
    exposed = [*(binding.port for binding in published), *ports.exposed(options.texts("expose"))]
    return {
        "ExposedPorts": {port: {} for port in exposed},
        "HostConfig": {"PortBindings": ports.port_bindings(published)},
    }


def _devices(options: RunOptions) -> dict[str, JsonValue]:
    names = [spec for spec in options.texts("device") if devices.is_cdi_name(spec)]
    requests = [_json(request) for request in options.all("gpus")]
    if names:
        requests.append(devices.cdi_request(names))
    mappings: list[JsonValue] = [devices.device(spec) for spec in options.texts("device") if spec not in names]
    return {"HostConfig": {"Devices": mappings, "DeviceRequests": requests}}


def _environment(options: RunOptions, client: Client) -> dict[str, JsonValue]:
    variables = _variables(options, client)
    if _docker_config(options, client):
        variables.append(api_socket.variable())
    labels = environment.labels(options.texts("label"), options.texts("label-file"), client.read_file)
    return {"Env": [*variables], "Labels": labels}


def _variables(options: RunOptions, client: Client) -> list[str]:
    proxies = environment.proxies(client.config, f"unix://{client.socket_path}")
    return environment.variables(
        options.texts("env"), options.texts("env-file"), proxies, client.environ, client.read_file
    )


def _docker_config(options: RunOptions, client: Client) -> JsonObject | None:
    if not options.switch("use-api-socket"):
        return None
    return api_socket.credentials_or_none(client.config, _variables(options, client))


def _namespaces(options: RunOptions) -> dict[str, JsonValue]:
    for name, word, _, modes in _NAMESPACES:
        mode = options.text(name)
        if mode not in modes and not (name == "pid" and _names_container(mode)):
            raise UsageError(f"--{name}={mode} is not a mode of the {word} namespace")
    return {"HostConfig": {field: options.text(name) for name, _, field, _ in _NAMESPACES if options.given(name)}}


def _names_container(mode: str) -> bool:
    kind, _, name = mode.partition(":")
    return kind == "container" and bool(name)


def _endings(options: RunOptions, *, plain: bool) -> dict[str, JsonValue]:
    name, count = checks.restart_policy(options.text("restart"))
    if not plain:
        return {"HostConfig": {"RestartPolicy": {"Name": "no"}}}
    host_config: dict[str, JsonValue] = {
        "RestartPolicy": {"Name": name, "MaximumRetryCount": count},
        "AutoRemove": options.switch("rm"),
    }
    return {"HostConfig": host_config}


def _logging_and_security(options: RunOptions, client: Client) -> dict[str, JsonValue]:
    if options.text("log-driver") == "none" and options.given("log-opt"):
        raise UsageError("--log-opt needs a --log-driver other than none")
    security_opts = [security.security_opt(text, client.read_file) for text in options.texts("security-opt")]
    host_config: dict[str, JsonValue] = {
        "SecurityOpt": [text for text in security_opts if text != security.UNCONFINED_PATHS],
        "CapAdd": [*security.capabilities(options.texts("cap-add"))],
        "CapDrop": [*security.capabilities(options.texts("cap-drop"))],
    }
    if security.UNCONFINED_PATHS in security_opts:
        host_config |= {"MaskedPaths": [], "ReadonlyPaths": []}
    return {"HostConfig": host_config}


def _storage(options: RunOptions) -> dict[str, JsonValue]:
    pairs = [text.partition("=") for text in options.texts("storage-opt")]
    if not all(equals for _, equals, _ in pairs):
        raise UsageError("--storage-opt must be NAME=VALUE")
    return {"HostConfig": {"StorageOpt": {name: value for name, _, value in pairs}}}


def _healthcheck(options: RunOptions) -> dict[str, JsonValue]:
    command = options.text("health-cmd")
    given = {name: options.number(name) for name in _HEALTH_TIMES if options.number(name)}
    if options.switch("no-healthcheck"):
        if command or given:
            raise UsageError("--no-healthcheck conflicts with --health-*")
        return {"Healthcheck": {"Test": ["NONE"]}}
    for name, number in given.items():
        if number < 0:
            raise UsageError(f"--{name} cannot be negative")
    if not command and not given:
        return {}
    healthcheck: dict[str, JsonValue] = {"Test": ["CMD-SHELL", command]} if command else {}
    for name, number in given.items():
        healthcheck["".join(word.title() for word in name.split("-")[1:])] = number
    return {"Healthcheck": healthcheck}


def _networks(options: RunOptions) -> dict[str, JsonValue]:
    asked = [value for value in options.all("network") if isinstance(value, networks.Network)]
    flags = networks.Network(
        "",
        aliases=options.texts("network-alias"),
        ip=options.text("ip"),
        ip6=options.text("ip6"),
        mac_address=addresses.mac_address(options.text("mac-address")) if options.text("mac-address") else "",
        link_local_ips=options.texts("link-local-ip"),
        links=options.texts("link"),
    )
    endpoints = networks.endpoints(asked, flags)
    return {
        "HostConfig": {"NetworkMode": asked[0].name if asked else "default"},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }


def _older_fields(options: RunOptions, client: Client) -> dict[str, JsonValue]:
    """Fields that only some versions of the API have."""
    host_config: dict[str, JsonValue] = {}
    if options.given("memory-swappiness"):
        host_config["MemorySwappiness"] = options.number("memory-swappiness")
    if options.given("kernel-memory") and (1, 40) <= client.api < (1, 42):
        host_config["KernelMemory"] = options.number("kernel-memory")
    if client.terminal_size:
        host_config["ConsoleSize"] = [*client.terminal_size]
    return {"HostConfig": host_config}
