"""The ``plixa`` command. What a command needs is imported when it runs, so that ``plixa --help`` is there at once."""

import rich_click as click

from plixa.cli.data import demo, events, export_openapi, migrate, rebuild, verify
from plixa.cli.doctor import doctor
from plixa.cli.processes import scheduler, up, web, worker
from plixa.cli.sandbox import sandbox
from plixa.cli.staff import staff

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="plixa")
def main() -> None:
    """WhatsApp customer service whose every state can be replayed, proven and explained."""


for command in (
    up,
    web,
    worker,
    scheduler,
    migrate,
    demo,
    rebuild,
    verify,
    events,
    export_openapi,
    doctor,
    sandbox,
    staff,
):
    main.add_command(command)
