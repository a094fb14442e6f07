"""Phone numbers: the one form under which they compare, and the forms in which they are written. Digits, with the country code."""

import re

_BR_NINTH = re.compile(r"(55\d\d)9(\d{8})")
_BR_MOBILE = re.compile(r"(55\d\d)(9?)([6-9]\d{7})")
_MX_ONE = re.compile(r"(52)1(\d{10})")
_AR_NINE = re.compile(r"(54)9(\d{10})")
_MX_OR_AR = re.compile(r"(52|54)(\d{10})")
_EXTRA_DIGIT = {"52": "1", "54": "9"}


def canonical_phone(digits: str) -> str:
    """The key under which two numbers are the same person's: no Brazilian ninth digit, Mexican 1, Argentine 9."""
    number = "".join(sign for sign in digits if sign in "0123456789")
    for pattern in (_BR_NINTH, _MX_ONE, _AR_NINE):
        if match := pattern.fullmatch(number):
            return match[1] + match[2]
    return number


def phone_variants(digits: str) -> tuple[str, ...]:
    """The forms under which WhatsApp may know a number, the given one first.

    A Brazilian number gets or loses the ninth digit only when the rest is in the mobile range: a mobile and a
    landline that share their last eight digits are two businesses.
    """
    if match := _BR_MOBILE.fullmatch(digits):
        return digits, match[1] + ("" if match[2] else "9") + match[3]
    short = canonical_phone(digits)
    if short != digits and short[:2] in _EXTRA_DIGIT:
        return digits, short
    if match := _MX_OR_AR.fullmatch(digits):
        return digits, match[1] + _EXTRA_DIGIT[match[1]] + match[2]
    return (digits,)
