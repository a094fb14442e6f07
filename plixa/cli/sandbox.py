"""``plixa sandbox``: play the customer, or run the sandbox gateway on its own."""

from pathlib import Path

import rich_click as click

from plixa.cli.context import settings_or_exit

Picture = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def sandbox() -> None:
    """The sandbox gateway, which stands in for WhatsApp when no Evolution server is set."""


@sandbox.command()
@click.argument("phone")
@click.argument("text", required=False)
@click.option("--image", type=Picture, help="Send this picture; the text becomes its caption.")
@click.option("--audio", type=Picture, help="Send this file as a voice note.")
@click.option("--document", type=Picture, help="Send this file.")
@click.option("--quote", help="Answer the message with this WhatsApp id.")
@click.option("--instance", help="Write to this instance instead of the first connected one.")
def say(phone: str, text: str | None, **options: object) -> None:
    """Say TEXT as the customer with the number PHONE."""
    import httpx

    from plixa.whatsapp.sandbox import say as say_to_sandbox

    settings = settings_or_exit()
    given = {name: value for name, value in options.items() if value is not None}
    if text is None and not given.keys() & {"image", "audio", "document"}:
        raise click.UsageError("Say something: a text, --image, --audio or --document.")
    try:
        answer = say_to_sandbox(settings.gateway_url, settings.gateway_api_key, phone=phone, text=text, **given)
    except httpx.ConnectError as error:
        raise click.ClickException(f"No sandbox gateway answers at {settings.gateway_url}: run plixa up.") from error
    except httpx.HTTPStatusError as error:
        raise click.ClickException(f"The sandbox gateway refused: {error.response.text}") from error
    click.echo(f"Said as {answer}.")


@sandbox.command()
@click.option("--supervised", is_flag=True, hidden=True)
def serve(supervised: bool) -> None:
    """Run the sandbox gateway alone."""
    from plixa.cli.serving import follow_parent, serve_sandbox

    if supervised:
        follow_parent()
    serve_sandbox(settings_or_exit())
