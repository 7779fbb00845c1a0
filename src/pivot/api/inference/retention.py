"""The room that artifacts take: above its limit the oldest ones go."""

import structlog
from sqlalchemy import delete, func, select

from pivot.api.database import Database
from pivot.api.inference.tables import Artifact

ROWS_AT_A_TIME = 500

log = structlog.get_logger(__name__)


async def shrink(database: Database, most_bytes: int) -> int:
    """Drop the oldest artifacts until all together hold no more than `most_bytes` (0: no limit). How many went."""
    if not most_bytes:
        return 0
    async with database.session() as session:
        held = await session.scalar(select(func.sum(Artifact.size)))
    too_many, dropped = (held or 0) - most_bytes, 0
    while too_many > 0:
        oldest = select(Artifact.inference_id, Artifact.size).order_by(Artifact.kept_ns).limit(ROWS_AT_A_TIME)
        async with database.session() as session:
            ids = []
            for inference_id, size in (await session.execute(oldest)).all():
                if too_many > 0:
                    ids.append(inference_id)
                    too_many -= size
            await session.execute(delete(Artifact).where(Artifact.inference_id.in_(ids)))
        dropped += len(ids)
    if dropped:
        log.warning("artifacts_dropped", artifacts=dropped, limit_bytes=most_bytes, setting="storage.artifact_bytes")
    return dropped
