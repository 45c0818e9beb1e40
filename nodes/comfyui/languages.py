"""The language in which nodes and routes speak: the one chosen on a node, else that of ComfyUI's interface."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from ...sonic_guard.errors import SonicGuardError
from ...sonic_guard.messages.catalogue import LANGUAGES
from ...sonic_guard.messages.error_messages import error_text
from . import host

AUTO = "auto"
"""On a node: the language of ComfyUI's interface."""
LOCALE = "Comfy.Locale"
"""ComfyUI's own setting."""

Work = TypeVar("Work", bound=Callable[..., Any])

pages: list[str] = []
"""The language of the page that asked last; none until a page has."""


def heard_from_page(language: str) -> None:
    """A page in one of `LANGUAGES` has sent a request."""
    pages[:] = [language]


def interface_language() -> str:
    """The language of ComfyUI's interface, one of `LANGUAGES`: the locale that its users have saved.

    Where they have saved none, or differ, a page takes its user's or its browser's, which only it knows: then it is
    that of the page that sent the last request, and English until one did, such as for a run without a page.
    """
    saved = {_language_of(locale) for locale in host.saved(LOCALE)}
    return saved.pop() if len(saved) == 1 else next(iter(pages), LANGUAGES[0])


def language_for(choice: Any) -> str:
    """The language for a node whose `language` is `choice`: that of the interface for "auto", and for no language."""
    known = isinstance(choice, str) and choice in LANGUAGES  # a link may bring any value
    return choice if known else interface_language()


def errors_in_users_language(work: Work) -> Work:
    """`work`, a node's method or what Sonic's does, with the texts of its errors in the user's language.

    That is the language of the input ``language``, if there is one, else that of the interface. The error stays the
    same object, with its class, its cause and its traceback. A node's `execute` is wrapped inside of ``@classmethod``,
    because ComfyUI calls the function of a copy of the class.
    """

    @wraps(work)
    def run(*args: Any, **inputs: Any) -> Any:
        try:
            return work(*args, **inputs)
        except SonicGuardError as error:
            error.args = (error.shown or error_text(error.text, language_for(inputs.get("language"))),)
            raise

    return cast("Work", run)


def _language_of(locale: Any) -> str:
    """The language of a locale of ComfyUI, such as "zh-TW"; English where there are no texts in its own."""
    return next((language for language in LANGUAGES if str(locale).partition("-")[0] == language), LANGUAGES[0])
