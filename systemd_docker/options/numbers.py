"""How Go reads numbers, so that --pids-limit=010 is eight and --cpus=1/4 a quarter: Go's strconv, time and math/big.

Every reader takes the text as typed and returns an int, or raises UsageError with the reason that the docker CLI
gives.
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.quoting import quoted

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASES = {"0x": 16, "0b": 2, "0o": 8}
_INT64_MAX = (1 << 63) - 1
_INT64_MIN = -(1 << 63)
_UNIT_SHIFT = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_BOOLEANS = {"1": True, "t": True, "T": True, "true": True, "TRUE": True, "True": True}
_BOOLEANS |= {"0": False, "f": False, "F": False, "false": False, "FALSE": False, "False": False}


def boolean(text: str) -> bool:
    """strconv.ParseBool: 1 t T true TRUE True, 0 f F false FALSE False."""
    if text not in _BOOLEANS:
        raise UsageError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")
    return _BOOLEANS[text]


def integer(text: str, base: int = 0) -> int:
    """strconv.ParseInt(text, base, 64): with base 0 "0x10" is 16, "010" eight, "1_000" a thousand."""
    sign = -1 if text[:1] == "-" else 1
    number = _natural(text[1:] if text[:1] in ("+", "-") and text else text, base)
    if number is None:
        raise UsageError(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    if not _INT64_MIN <= sign * number <= _INT64_MAX:
        raise UsageError(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    return sign * number


def natural(text: str, base: int = 0, bits: int = 64) -> int:
    """strconv.ParseUint(text, base, bits): as integer() but without a sign."""
    number = _natural(text, base)
    if number is None:
        raise UsageError(f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax")
    if number >> bits:
        raise UsageError(f"strconv.ParseUint: parsing {quoted(text)}: value out of range")
    return number


def natural16(text: str) -> int:
    return natural(text, bits=16)


def _natural(text: str, base: int) -> int | None:
    digits = text.lower()
    if base == 0:
        base = _BASES.get(digits[:2], 8 if digits[:1] == "0" and len(digits) > 1 else 10)
        if base != 10:
            # The underscore may stand between digits and right after the prefix, nowhere else.
            digits = digits[2:].removeprefix("_") if digits[:2] in _BASES else digits[1:].removeprefix("_")
        digits = _without_underscores(digits)
    allowed = _DIGITS[:base]
    return int(digits, base) if digits and all(digit in allowed for digit in digits) else None


def _without_underscores(digits: str) -> str:
    groups = digits.split("_")
    return "".join(groups) if all(groups) else ""


def number(text: str) -> float:
    """strconv.ParseFloat(text, 64), without its names for infinity."""
    bare = text.removeprefix("-") if text[:1] == "-" else text.removeprefix("+")
    try:
        if not text.isascii() or text.strip() != text:
            raise ValueError(text)
        hexadecimal = bare[:2] in ("0x", "0X")
        if hexadecimal and "p" not in bare.lower():
            raise ValueError(text)
        value = float.fromhex(text.replace("_", "")) if hexadecimal else float(text)
    except (ValueError, OverflowError):
        raise UsageError(f"strconv.ParseFloat: parsing {quoted(text)}: invalid syntax") from None
    if value in (float("inf"), float("-inf")) and bare[:1] not in "iI":
        raise UsageError(f"strconv.ParseFloat: parsing {quoted(text)}: value out of range")
    return value


def size_bytes(text: str) -> int:
    """ "512m" -> 536870912; "1.5g", "100 mb", "1GiB": powers of 1024; fractions of a byte are dropped."""
    last = max((index for index, char in enumerate(text) if char in "0123456789. "), default=-1)
    if last == -1:
        raise UsageError(f"invalid size: '{text}'")
    digits, suffix = text[: last + 1], text[last + 1 :]
    size = number(digits[:-1] if digits[-1] == " " else digits)
    if size < 0:
        raise UsageError(f"invalid size: '{text}'")
    return _int64(size * (1 << _shift(suffix)))


def _shift(suffix: str) -> int:
    unit = suffix.lower()
    if unit in ("", "b"):
        return 0
    if unit[0] not in _UNIT_SHIFT or unit[1:] not in ("", "b", "ib"):
        raise UsageError(f"invalid suffix: '{suffix if len(suffix) > 3 else unit}'")
    return _UNIT_SHIFT[unit[0]]


def _int64(value: float) -> int:
    # What does not fit becomes the smallest number on amd64, and the engine refuses that one.
    return int(value) if abs(value) < 2**63 else _INT64_MIN


def size_bytes_or_unlimited(text: str) -> int:
    """As size_bytes(), and "-1" for no limit at all."""
    return -1 if text == "-1" else size_bytes(text)


def nano_cpus(text: str) -> int:
    """ "1.5" -> 1500000000; also "1/4", "2e-1", "0x1p-2": exact, never through a float."""
    parsed = _fraction(text)
    if parsed is None:
        raise UsageError(f"failed to parse {text} as a rational number")
    numerator, denominator = parsed
    if numerator * 10**9 % denominator:
        raise UsageError("value is too precise")
    nano = numerator * 10**9 // denominator
    return (nano + (1 << 63)) % (1 << 64) - (1 << 63)  # more than 9 thousand million CPUs wrap round, as in Go


def _fraction(text: str) -> tuple[int, int] | None:
    sign, bare = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if "/" in bare:
        above, _, below = bare.partition("/")
        numerator, denominator = _natural(above, 0), _natural(below, 0)
        return (sign * numerator, denominator) if numerator is not None and denominator else None
    base = _BASES.get(bare[:2].lower(), 10)
    mantissa, power_of, exponent = _split_exponent(bare if base == 10 else bare[2:].removeprefix("_"), base)
    whole, _, decimals = mantissa.partition(".")
    if not (whole or decimals) or exponent is None or abs(exponent) > 10**6:
        return None
    digits = _natural(whole + decimals, base) if "_" not in mantissa else _natural(_grouped(whole, decimals), base)
    if digits is None:
        return None
    numerator, denominator = sign * digits, base ** len(decimals.replace("_", ""))
    return (
        (numerator * power_of**exponent, denominator)
        if exponent >= 0
        else (numerator, denominator * power_of**-exponent)
    )


def _grouped(whole: str, decimals: str) -> str:
    if (whole and not _without_underscores(whole)) or (decimals and not _without_underscores(decimals)):
        return ""
    return (whole + decimals).replace("_", "")


def _split_exponent(text: str, base: int) -> tuple[str, int, int | None]:
    """ "2e-1" -> ("2", 10, -1); the exponent is None where it is no number."""
    for mark, power_of in (("p", 2), ("e", 10)):
        if (mark == "p" or base == 10) and mark in text.lower():
            at = text.lower().index(mark)
            digits = text[at + 1 :]
            size = _natural(digits[1:] if digits[:1] in ("+", "-") and digits else digits, 10)
            return text[:at], power_of, -size if size is not None and digits[:1] == "-" else size
    return text, 10, 0


def duration_nsec(text: str) -> int:
    """ "1h2m3.5s" -> 3723500000000, time.ParseDuration; a number without a unit is an error, but for 0."""
    negative, rest = text[:1] == "-", text[1:] if text[:1] in ("+", "-") else text
    if rest == "0" and text:
        return 0
    total = 0
    if not rest:
        raise UsageError(f"time: invalid duration {quoted(text)}")
    while rest:
        value, rest = _duration_part(text, rest)
        total += value
        if total > 1 << 63:
            raise UsageError(f"time: invalid duration {quoted(text)}")
    if total == 1 << 63 and not negative:
        raise UsageError(f"time: invalid duration {quoted(text)}")
    return -total if negative else total


def _duration_part(text: str, rest: str) -> tuple[int, str]:
    whole, rest = _leading(rest, "0123456789")
    decimals = ""
    dot = rest[:1] == "."
    if dot:
        decimals, rest = _leading(rest[1:], "0123456789")
    if not (whole or decimals):
        raise UsageError(f"time: invalid duration {quoted(text)}")
    unit_end = next((index for index, char in enumerate(rest) if char in ".0123456789"), len(rest))
    unit, rest = rest[:unit_end], rest[unit_end:]
    if int(whole or "0") > 1 << 63:
        raise UsageError(f"time: invalid duration {quoted(text)}")
    if not unit:
        raise UsageError(f"time: missing unit in duration {quoted(text)}")
    if unit not in _NANOSECONDS:
        raise UsageError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
    nsec = int(whole or "0") * _NANOSECONDS[unit]
    if decimals:
        # Go counts the fraction in a float; further digits than an int64 holds are dropped.
        kept = decimals[:18]
        nsec += int(float(int(kept)) * (_NANOSECONDS[unit] / float(10 ** len(kept))))
    return nsec, rest


def _leading(text: str, chars: str) -> tuple[str, str]:
    rest = text.lstrip(chars)
    return text[: len(text) - len(rest)], rest
