"""Commands that run until told to stop."""

import rich_click as click

from plixa.cli.context import connected, without_alchemy

supervised_option = click.option("--supervised", is_flag=True, hidden=True, help="Stop when standard input closes.")


@click.command()
@click.option("--reload", is_flag=True, help="Start again whenever a file changes.")
def up(reload: bool) -> None:
    """Run everything: servers, migrations, demo data, gateway, web, worker, scheduler."""
    from plixa.cli.supervisor import run

    run(reload=reload)


@click.command()
@supervised_option
def web(supervised: bool) -> None:
    """Serve the API."""
    without_alchemy()
    from plixa.cli.serving import follow_parent, serve_web

    if supervised:
        follow_parent()
    with connected() as settings:
        serve_web(settings)


@click.command()
@supervised_option
def worker(supervised: bool) -> None:
    """Deliver what was promised, and let projections follow the log."""
    without_alchemy()
    from plixa import worker as work
    from plixa.cli.serving import follow_parent

    if supervised:
        follow_parent()
    with connected():
        work.main()


@click.command()
@supervised_option
def scheduler(supervised: bool) -> None:
    """Start recurring work; any number may run, one leads."""
    without_alchemy()
    from plixa import worker as work
    from plixa.cli.serving import follow_parent

    if supervised:
        follow_parent()
    with connected():
        work.scheduler()
