"""A training, by its routes."""

from __future__ import annotations

from tests.mlnode.fakes import FakeTraining
from tests.mlnode.http.bodies import UP, Call


async def test_a_training_starts_and_stops_in_the_published_words(call: Call, training: FakeTraining) -> None:
    assert await call("GET", "/train/status") == (200, {"status": False})
    assert await call("POST", "/train/stop") == (400, {"detail": "Training is not running"})
    body = {"train_config": {"steps": 3}, "train_env": {"TASK_ID": "7"}}
    assert await call("POST", "/train/start", body) == (200, {"status": "Training started"})
    assert await call("GET", "/state") == (200, {"state": "TRAIN"})
    assert await call("GET", "/train/status") == (200, {"status": True})
    assert await call("POST", "/train/start", body) == (400, {"detail": "Training is already running"})
    assert len(training.starts) == 1
    words = "Cannot run INFERENCE because MLNode is currently in TRAIN mode. Please stop TRAIN first."
    assert await call("POST", "/inference/up", UP) == (409, {"detail": words})
    assert await call("POST", "/train/stop") == (200, {"status": "Training stopped"})
    assert await call("GET", "/state") == (200, {"state": "STOPPED"})
