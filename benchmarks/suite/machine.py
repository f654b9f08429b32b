"""On what a report was made: everything that its figures depend on."""

import os
import platform
import re
import subprocess

PACKAGES = (
    "libuv1-dev libspdlog-dev libbenchmark-dev libboost1.81-dev libboost-dev libzmq3-dev python3 "
    "python3-uvloop nodejs golang-go libc6"
).split()


def described(build):
    commit = _output("git", "rev-parse", "--short=12", "HEAD")
    return {
        "kernel": platform.release(),
        "system": _system(),
        "cpu": _cpu(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "none",
        "virtual": bool(re.search(r"^flags.*\bhypervisor\b", _read("/proc/cpuinfo"), re.M)),
        **built(build),
        "packages": packages(PACKAGES),
        "commit": commit or "unknown: not a git work tree",
        "dirty": bool(commit and _output("git", "status", "--porcelain")),
    }


def built(build):
    """With which compiler, and how."""
    cache = _cmake_cache(build)
    compiler = cache.get("CMAKE_CXX_COMPILER", "c++")
    flags = (cache.get(f"CMAKE_{kind}", "") for kind in ("BUILD_TYPE", "CXX_FLAGS_RELEASE"))
    return {
        "compiler": _output(compiler, "--version").partition("\n")[0],
        "build": " ".join(flags).strip(),
    }


def packages(names):
    """The versions of those that are installed."""
    shown = _output("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package} ${Version}\n", *names)
    lines = (line.split() for line in shown.splitlines())
    return {words[1]: words[2] for words in lines if words[0] == "installed"}


def _cpu():
    found = re.search(r"^model name\s*:\s*(.*)$", _read("/proc/cpuinfo"), re.M)
    return found[1] if found else platform.machine()


def _system():
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _cmake_cache(build):
    lines = _read(os.path.join(build, "CMakeCache.txt")).splitlines()
    return dict(re.findall(r"^(\w+):\w+=(.*)$", "\n".join(lines), re.M))


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _output(*command):
    """What it prints; nothing if it is not there, or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
