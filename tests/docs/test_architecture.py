"""The map of the house has every room, and every module of the chain once."""

from tests.docs.pages import ROOT, module_names, table

MAP = (ROOT / "docs" / "architecture.md").read_text()


def test_every_room_is_on_the_map() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "pivot").glob("*/__init__.py")}
    on_map = {room.strip("`/ ") for row in table(MAP, "room") for room in row[0].split(",")}
    assert on_map == rooms


def test_every_module_of_the_chain_is_on_the_map_once() -> None:
    on_map = [module.strip("` ") for row in table(MAP, "part") for module in row[1].split(",")]
    assert sorted(on_map) == module_names()
