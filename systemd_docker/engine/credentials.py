"""Registry credentials as `docker login` left them, through the docker package: the one module that imports it.

The package knows config.json in $DOCKER_CONFIG or ~/.docker/, its auths, credsStore, credHelpers and identity tokens.
It costs 20 MB and 150 ms: only a process that ends soon may ask. The look-up runs credential helpers.
"""

from __future__ import annotations

from systemd_docker.errors import Error


class CredentialsError(Error):
    """Credentials are configured, but cannot be had."""


def registry_auth(repository: str) -> str:
    """Return the value of X-Registry-Auth for "quay.io/org/app"; "" where no credentials are configured.

    Raises CredentialsError.
    """
    try:
        # Here, so that the lack of the package is an error with a hint.
        from docker import auth
        from docker.errors import DockerException
    except ImportError as error:
        raise CredentialsError(
            f"pulling needs the Python package docker: {error}",
            hint="Install it, or pull the image beforehand with 'docker pull'.",
        ) from None
    try:
        registry, _ = auth.resolve_repository_name(repository)
        found = auth.resolve_authconfig(auth.load_config(), registry)
    except DockerException as error:
        raise CredentialsError(
            f"cannot get credentials: {error.__cause__ or error.__context__ or error}",
            hint="See credsStore and credHelpers in ~/.docker/config.json, or in config.json in $DOCKER_CONFIG.",
        ) from None
    return auth.encode_header(found).decode() if found else ""
