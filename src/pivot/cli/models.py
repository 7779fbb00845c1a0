"""`pivot models …`: weights on this machine, in Hugging Face's cache."""

import os
from pathlib import Path
from typing import Annotated

import typer

from pivot.cli.hub import pull
from pivot.cli.output import CommandFailed, Json, print_json, say
from pivot.mlnode.model_cache import cache_folders, cached_models

GB = 10**9
SHOWN_REVISION_LENGTH = 12

app = typer.Typer(help="Model weights on this machine.", no_args_is_help=True)

CacheDir = Annotated[
    Path | None,
    typer.Option(
        "--cache-dir",
        help="Folder of the cache (default: HF_HUB_CACHE, else the hub folder of HF_HOME or of ~/.cache).",
    ),
]


@app.command("pull")
def pull_model(
    repository: Annotated[str, typer.Argument(metavar="REPO", help="A model, such as Qwen/Qwen2.5-7B-Instruct.")],
    cache_dir: CacheDir = None,
    revision: Annotated[str, typer.Option(help="Branch, tag or commit.")] = "main",
    as_json: Json = False,
) -> None:
    """Fetch a model before a node needs it. An interrupted download goes on when it is asked for again."""
    cache = cache_dir or cache_folders(os.environ)[0]
    folder = pull(repository, cache.expanduser(), revision, say)
    missing = [name for cached in cached_models([cache]) if cached.folder == folder for name in cached.missing]
    if missing:
        raise CommandFailed(f"{repository} came without {', '.join(missing)}: no ML node can serve it")
    if as_json:
        print_json({"repository": repository, "revision": folder.name, "folder": folder})
    else:
        say(f"{repository} is in {folder}")


@app.command("list")
def list_models(cache_dir: CacheDir = None, as_json: Json = False) -> None:
    """Show the models of this machine's caches, and which of them are whole."""
    caches = [cache_dir.expanduser()] if cache_dir else cache_folders(os.environ)
    found = cached_models(caches)
    if as_json:
        print_json(
            [
                {
                    "repository": cached.repository,
                    "revision": cached.revision,
                    "folder": cached.folder,
                    "size_bytes": cached.size_bytes,
                    "missing": cached.missing,
                }
                for cached in found
            ]
        )
        return
    if not found:
        say(f"There are no models in {', '.join(map(str, caches))}: `pivot models pull` fetches one.")
    for cached in found:
        state = f"not whole: {cached.missing[0]} is missing" if cached.missing else "whole"
        revision = cached.revision[:SHOWN_REVISION_LENGTH]
        typer.echo(f"{cached.repository}  {revision}  {cached.size_bytes / GB:.1f} GB  {state}  {cached.folder}")
