"""``plixa sandbox``: play the customer, or run the sandbox gateway on its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import rich_click as click

from plixa.cli.context import settings_or_exit

Command = Callable[..., Any]

SAMPLE = ""
"""What an option without a value stands for: the built-in file, the newest message."""
FILES = ("image", "audio", "document", "video", "sticker")


def sampled(option: str, metavar: str, text: str) -> Callable[[Command], Command]:
    """An option that may stand without a value."""
    return click.option(option, is_flag=False, flag_value=SAMPLE, metavar=metavar, help=text)


@click.group()
def sandbox() -> None:
    """The sandbox gateway, which stands in for WhatsApp when no Evolution server is set."""


@sandbox.command()
@click.argument("phone")
@click.argument("text", required=False)
@sampled("--image", "[FILE]", "Send a picture, the built-in one without FILE; the text becomes its caption.")
@sampled("--audio", "[FILE]", "Send a voice note.")
@sampled("--document", "[FILE]", "Send a document.")
@click.option("--video", metavar="FILE", help="Send a video.")
@sampled("--sticker", "[FILE]", "Send a sticker.")
@click.option("--location", is_flag=True, default=None, help="Send a place.")
@click.option("--contact", is_flag=True, default=None, help="Send a contact card.")
@sampled("--quote", "[ID]", "Answer the newest message, or the one with this WhatsApp id.")
@click.option("--react", metavar="EMOJI", help="React to the newest message.")
@click.option("--name", help="What the customer calls themselves.")
@click.option("--lid", help="Write from this hidden number (LID) too.")
@click.option("--own-phone", is_flag=True, default=None, help="The owner writes from the workspace's own phone instead.")
@click.option("--instance", help="Write to this instance instead of the first connected one.")
def say(phone: str, text: str | None, **options: object) -> None:
    """Say TEXT as the customer with the number PHONE."""
    import httpx

    from plixa.whatsapp.sandbox import say as say_to_sandbox

    settings = settings_or_exit()
    given = {name: value for name, value in options.items() if value is not None}
    if given.get("quote") == SAMPLE:
        given["quote"] = "last"
    given |= {name: _file(name, str(given[name])) for name in FILES if name in given}
    if text is None and not given.keys() & {*FILES, "location", "contact", "react"}:
        raise click.UsageError("Say something: a text, --image, --audio, --document, --location, --contact or --react.")
    try:
        answer = say_to_sandbox(settings.gateway_url, settings.gateway_api_key, phone=phone, text=text, **given)
    except httpx.ConnectError as error:
        raise click.ClickException(f"No sandbox gateway answers at {settings.gateway_url}: run plixa up.") from error
    except httpx.HTTPStatusError as error:
        raise click.ClickException(f"The sandbox gateway refused: {error.response.text}") from error
    click.echo(f"Said as {answer}.")


def _file(option: str, value: str) -> Path | bool:
    """The file an option names; True stands for the built-in one."""
    if value == SAMPLE:
        return True
    if not Path(value).is_file():
        raise click.BadParameter(f"{value} is no file.", param_hint=f"--{option}")
    return Path(value)


@sandbox.command()
@click.option("--supervised", is_flag=True, hidden=True)
def serve(supervised: bool) -> None:
    """Run the sandbox gateway alone."""
    from plixa.cli.serving import follow_parent, serve_sandbox

    if supervised:
        follow_parent()
    serve_sandbox(settings_or_exit())
