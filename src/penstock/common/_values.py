"""What declared types mean for values: coercion between operators, and text forms.

The one place the runtime asks; the rules are in `_coercion` and `_text`.
"""

from penstock.common._coercion import (
    Coercer,
    batch_coercer_for,
    checker_for,
    client_coercer_for,
    coercer_for,
    float32,
)
from penstock.common._text import Text, java_double, java_float, java_text, print_text

__all__ = [
    "Coercer",
    "Text",
    "batch_coercer_for",
    "checker_for",
    "client_coercer_for",
    "coercer_for",
    "float32",
    "java_double",
    "java_float",
    "java_text",
    "print_text",
]
