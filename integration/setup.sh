# shellcheck shell=bash
# What every command in this directory needs on a fresh Debian machine, as root: sourced by them, says what it does.
# Afterwards $python runs the project's code with everything that its tests import.

repository=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
cache=${SYSTEMD_DOCKER_TESTS:-/var/cache/systemd-docker-tests}
started=$SECONDS

packages=(
	systemd-container mmdebstrap util-linux procps # machines
	python3-venv python3-dev gcc pkg-config libsystemd-dev # systemd-python comes as source
	man-db mandoc # what has to show the manual pages
)

# stage WORDS: one line with the seconds since the start.
stage() { printf '[%3d s] %s\n' $((SECONDS - started)) "$*" >&2; }

# quietly COMMAND...: its output is shown only where it fails.
quietly() {
	local log status=0
	log=$(mktemp)
	"$@" >"$log" 2>&1 </dev/null || status=$?
	[ $status -eq 0 ] || { cat "$log" >&2; stage "exit status $status: $*"; }
	rm -f "$log"
	return $status
}

require_root() {
	[ "$(id -u)" -eq 0 ] || { echo "needs root: it installs packages and boots machines" >&2; exit 1; }
}

missing_packages() {
	dpkg-query --show --showformat='${Package} ${Status}\n' "${packages[@]}" 2>/dev/null |
		awk '$NF == "installed" {print $1}' | sort -u | comm -13 - <(printf '%s\n' "${packages[@]}" | sort)
}

install_packages() {
	local missing
	mapfile -t missing < <(missing_packages)
	[ ${#missing[@]} -gt 0 ] || return 0
	stage "packages: ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	quietly apt-get --option=DPkg::Lock::Timeout=300 update
	quietly apt-get --option=DPkg::Lock::Timeout=300 install --yes --no-install-recommends "${missing[@]}"
}

# Everything that pyproject.toml names: to build the package, to run it, to test it.
requirements() {
	/usr/bin/python3 - "$repository/pyproject.toml" <<-'END'
		import sys, tomllib
		with open(sys.argv[1], "rb") as file:
		    project = tomllib.load(file)
		extras = project["project"]["optional-dependencies"]
		print(*project["build-system"]["requires"], *project["project"]["dependencies"], *extras["test"], sep="\n")
	END
}

make_environment() {
	local wanted environment
	wanted=$(requirements)
	environment=$cache/environment-$({ /usr/bin/python3 -V; echo "$wanted"; } | sha256sum | cut -c-12)
	python=$environment/bin/python
	[ ! -e "$environment/complete" ] || return 0
	stage "virtual environment: $environment"
	mkdir -p "$cache"
	(
		flock 9
		[ ! -e "$environment/complete" ] || exit 0
		quietly /usr/bin/python3 -m venv --clear "$environment"
		mapfile -t wanted <<<"$wanted"
		quietly "$environment/bin/pip" install --disable-pip-version-check "${wanted[@]}"
		touch "$environment/complete"
	) 9>"$environment.lock"
}

prepare() {
	require_root
	umask 022 # whatever the caller's: what is made here is a machine's, and read by its users
	install_packages
	make_environment
	cd "$repository" || exit
}
