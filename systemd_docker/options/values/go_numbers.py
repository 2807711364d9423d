"""Numbers as Go reads them, so --pids-limit=010 is eight and --cpus=1/4 a quarter: strconv, time and math/big.

Every reader takes the text as typed and returns a number, or raises UsageError with the reason.
"""

from __future__ import annotations

from systemd_docker.errors import UsageError
from systemd_docker.options.values.go_quoting import quoted

_DECIMALS = "0123456789"
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_BASES = {"0x": 16, "0b": 2, "0o": 8}
_MAX_EXPONENT = 10**6
_INT64_MAX = (1 << 63) - 1
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
        raise UsageError("must be true or false")
    return _BOOLEANS[text]


def integer(text: str, base: int = 0) -> int:
    """strconv.ParseInt(text, base, 64): with base 0 "0x10" is 16, "010" eight, "1_000" a thousand."""
    negative, digits = _without_sign(text)
    number = _magnitude(digits, base, _INT64_MAX + negative)
    return -number if negative else number


def natural(text: str, base: int = 0, bits: int = 64) -> int:
    """strconv.ParseUint(text, base, bits): as integer() but without a sign."""
    return _magnitude(text, base, (1 << bits) - 1)


def natural16(text: str) -> int:
    return natural(text, bits=16)


def _without_sign(text: str) -> tuple[bool, str]:
    return text.startswith("-"), text[1:] if text.startswith(("-", "+")) else text


def _magnitude(text: str, base: int, most: int | None = None) -> int:
    """Return the number, which must not exceed most. Raises UsageError."""
    if base:
        return _count(text.lower().replace("_", "."), base, most)  # no underscores where the base is given
    digits = text.lower()
    if digits[:2] in _BASES:
        return _count(digits[2:].removeprefix("_"), _BASES[digits[:2]], most)
    if digits.startswith("0") and len(digits) > 1:
        return _count(digits[1:].removeprefix("_"), 8, most)
    return _count(digits, 10, most)


def _count(digits: str, base: int, most: int | None = None) -> int:
    """Digits, with an underscore between any two."""
    number = 0
    for digit in digits.replace("_", ""):
        value = _DIGITS.find(digit)
        if not 0 <= value < base:
            raise UsageError("not a number")
        number = number * base + value
        if most is not None and number > most:
            raise UsageError("out of range")
    if not all(digits.split("_")):
        raise UsageError("not a number")
    return number


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
        raise UsageError("not a number") from None
    if value in (float("inf"), float("-inf")) and bare[:1] not in "iI":
        raise UsageError("out of range")
    return value


def size_bytes(text: str) -> int:
    """ "512m" -> 536870912; "1.5g", "100 mb", "1GiB": powers of 1024; fractions of a byte are dropped."""
    last = max((index for index, char in enumerate(text) if char in "0123456789. "), default=-1)
    if last == -1:
        raise UsageError("not a size")
    digits, suffix = text[: last + 1], text[last + 1 :]
    size = number(digits[:-1] if digits[-1] == " " else digits)
    if size < 0:
        raise UsageError("not a size")
    return _int64(size * (1 << _shift(suffix)))


def _shift(suffix: str) -> int:
    unit = suffix.lower()
    if unit in ("", "b"):
        return 0
    if unit[0] not in _UNIT_SHIFT or unit[1:] not in ("", "b", "ib"):
        raise UsageError(f"unknown unit {quoted(suffix)}, must be one of b, k, m, g, t, p")
    return _UNIT_SHIFT[unit[0]]


def _int64(value: float) -> int:
    # What does not fit becomes the smallest number on amd64, and the engine refuses that one.
    return int(value) if abs(value) < 2**63 else -(1 << 63)


def size_bytes_or_unlimited(text: str) -> int:
    """As size_bytes(), and "-1" for no limit at all."""
    return -1 if text == "-1" else size_bytes(text)


def nano_cpus(text: str) -> int:
    """ "1.5" -> 1500000000; also "1/4", "2e-1", "0x1p-2": exact, never through a float."""
    parsed = _fraction(text)
    if parsed is None:
        raise UsageError("not a number")
    numerator, denominator = parsed
    if numerator * 10**9 % denominator:
        raise UsageError("more than nine decimals")
    nano = numerator * 10**9 // denominator
    return (nano + (1 << 63)) % (1 << 64) - (1 << 63)  # more than 9 thousand million CPUs wrap round, as in Go


def _fraction(text: str) -> tuple[int, int] | None:
    negative, bare = _without_sign(text)
    try:
        numerator, denominator = _ratio(bare) if "/" in bare else _decimal(bare)
    except UsageError:
        return None
    return (-numerator if negative else numerator, denominator) if denominator else None


def _ratio(text: str) -> tuple[int, int]:
    above, _, below = text.partition("/")
    return _magnitude(above, 0), _magnitude(below, 0)


def _decimal(text: str) -> tuple[int, int]:
    """ "1.5e-1" -> (15, 100); with a prefix digits of that base, with "p" a power of two; "010" is ten here."""
    base = _BASES.get(text[:2].lower(), 10)
    mantissa, power_of, exponent = _split_exponent(text.lower(), base)
    if base != 10:
        mantissa = mantissa[2:].removeprefix("_")
    whole, _, decimals = mantissa.partition(".")
    if whole.endswith("_") or decimals.startswith("_"):
        raise UsageError("not a number")
    number = _count(whole + decimals, base)
    if number == 0:
        return 0, 1
    if abs(exponent) > _MAX_EXPONENT:
        raise UsageError("out of range")
    scale = base ** len(decimals.replace("_", ""))
    return (number * power_of**exponent, scale) if exponent >= 0 else (number, scale * power_of**-exponent)


def _split_exponent(text: str, base: int) -> tuple[str, int, int]:
    """ "2e-1" -> ("2", 10, -1)."""
    for mark, power_of in (("p", 2), ("e", 10)):
        mantissa, found, exponent = text.partition(mark)
        if found and (mark == "p" or base != 16):
            negative, digits = _without_sign(exponent)
            return mantissa, power_of, -_count(digits, 10) if negative else _count(digits, 10)
    return text, 10, 0


def duration_nsec(text: str) -> int:
    """ "1h2m3.5s" -> 3723500000000, time.ParseDuration; a number without a unit is an error, but for 0."""
    negative, rest = _without_sign(text)
    if rest == "0":
        return 0
    if not rest:
        raise UsageError("not a duration")
    total = 0
    while rest:
        value, rest = _duration_part(rest)
        total += value
        if total > _INT64_MAX + negative:
            raise UsageError("out of range")
    return -total if negative else total


def _duration_part(rest: str) -> tuple[int, str]:
    """Return the first number with its unit, in nanoseconds, and what follows."""
    whole, rest = _leading(rest, _DECIMALS)
    decimals = ""
    if rest.startswith("."):
        decimals, rest = _leading(rest[1:], _DECIMALS)
    if not (whole or decimals) or int(whole or "0") > 1 << 63:
        raise UsageError("not a duration")
    unit_end = next((index for index, char in enumerate(rest) if char in f".{_DECIMALS}"), len(rest))
    unit, rest = rest[:unit_end], rest[unit_end:]
    if not unit:
        raise UsageError("a number has no unit, such as s or m")
    if unit not in _NANOSECONDS:
        raise UsageError(f"unknown unit {quoted(unit)}, must be one of ns, us, ms, s, m, h")
    return int(whole or "0") * _NANOSECONDS[unit] + _fraction_of(_NANOSECONDS[unit], decimals), rest


def _fraction_of(unit: int, decimals: str) -> int:
    """ "5" of a second -> 500000000; in a float as Go does, which leaves out the digits that an int64 cannot hold."""
    number, scale = 0, 1.0
    for digit in decimals:
        larger = number * 10 + int(digit)
        if number > _INT64_MAX // 10 or larger > 1 << 63:
            break
        number, scale = larger, scale * 10
    return int(float(number) * (float(unit) / scale))


def _leading(text: str, chars: str) -> tuple[str, str]:
    rest = text.lstrip(chars)
    return text[: len(text) - len(rest)], rest
