# What the scripts beside this file ask of the machine: commands and ports. To be sourced. Messages go to standard error.

# need COMMAND PACKAGE: installs Debian's PACKAGE when there is no COMMAND.
need() {
  command -v "$1" >/dev/null && return
  if ! command -v apt-get >/dev/null || [[ $(id -u) != 0 ]]; then
    echo "there is no $1: install it (Debian's package $2)" >&2
    return 1
  fi
  echo "installing Debian's package $2" >&2
  local log
  # Package lists may be missing or old: they are fetched only when the first try fails.
  if ! log=$(apt_install "$2" 2>&1 || { apt-get update && apt_install "$2"; } 2>&1); then
    echo "Debian's package $2 could not be installed: $(grep -m1 '^E:' <<<"$log" || tail -n1 <<<"$log")" >&2
    return 1
  fi
}

apt_install() { DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=120 "$1"; }

# taken PORT: whether something listens there on loopback.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port BASE [EXCEPT…]: the first port from BASE that nobody listens on and that is not among the others. Bases lie below
# 32768, where the kernel begins to take ports for outgoing connections.
free_port() {
  local port=$1
  shift
  while [[ " $* " == *" $port "* ]] || taken "$port"; do
    port=$((port + 1))
  done
  echo "$port"
}
