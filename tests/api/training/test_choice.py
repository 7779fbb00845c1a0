from pivot.api.training.choice import MAX_NODES, Candidate, choose


def candidate(participant: str, node_id: str = "n", weight: int = 1, **hardware: int) -> Candidate:
    return Candidate(participant, node_id, weight, hardware)


def names(chosen: list[Candidate] | None) -> list[str] | None:
    return None if chosen is None else [each.participant for each in chosen]


def test_the_node_that_gives_most_comes_first() -> None:
    nodes = [candidate("small", h100=1), candidate("large", h100=8), candidate("other", a100=8)]
    assert names(choose({"h100": 9}, nodes)) == ["large", "small"]


def test_only_what_is_still_wanted_counts() -> None:
    nodes = [candidate("both", h100=2, a100=2), candidate("much", h100=8), candidate("little", a100=1)]
    assert names(choose({"h100": 2, "a100": 3}, nodes)) == ["both", "little"]


def test_of_equal_nodes_that_of_the_weightier_host_comes_first() -> None:
    nodes = [candidate("light", weight=1, cpu=1), candidate("heavy", weight=9, cpu=1)]
    assert names(choose({"cpu": 1}, nodes)) == ["heavy"]


def test_what_all_together_do_not_have_is_given_to_nobody() -> None:
    assert choose({"cpu": 3}, [candidate("a", cpu=1), candidate("b", cpu=1)]) is None
    assert choose({"cpu": 1}, []) is None
    assert choose({"gpu": 1}, [candidate("a", cpu=1)]) is None


def test_more_nodes_than_a_task_may_have_are_not_chosen() -> None:
    nodes = [candidate(f"host{i}", cpu=1) for i in range(MAX_NODES + 1)]
    assert len(choose({"cpu": MAX_NODES}, nodes) or []) == MAX_NODES
    assert choose({"cpu": MAX_NODES + 1}, nodes) is None
