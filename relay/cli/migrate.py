"""`relay migrate`: bring a PostgreSQL store's schema up to date, or print how."""

import click

from relay.cli.options import asynchronous, json_option
from relay.cli.output import print_json
from relay.cli.store import store_option
from relay.operations import upkeep
from relay.store.open import StoreUrl


@click.command("migrate")
@click.option("--sql", "only_sql", is_flag=True, help="Only print the SQL, for a role that may change the schema.")
@store_option
@json_option
@asynchronous
async def migrate(only_sql: bool, store_url: StoreUrl, as_json: bool) -> None:
    """Bring the schema of a PostgreSQL store up to date.

    A relay does it by itself when it starts, unless its role may not. Relays of the version before run on meanwhile;
    what they use is dropped only once none of them lives. It asks the database itself, and takes no --relay.

    \b
    relay migrate --store postgresql://owner@db1,db2/relay
    relay migrate --sql --store postgresql://relay@db1/relay > relay.sql
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if only_sql:
        sql = await upkeep.migration_sql(store_url)
        if as_json:
            print_json({"up_to_date": not sql, "sql": sql})
        else:
            click.echo(sql or "-- the schema is up to date\n", nl=False)
        return
    await upkeep.migrate(store_url)
    if as_json:
        print_json({"up_to_date": True})
    else:
        click.echo("the schema is up to date")
