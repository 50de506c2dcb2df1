"""Processes many videos with a pool of workers, and can resume after any interruption.

=============  ==================================================================================
module         contents
=============  ==================================================================================
`inputs`       lists the videos in folders, patterns and lists
`job`          the model, and what to compute for each video
`one_video`    processes one video and returns its row
`storage`      fetches a video from remote storage
`worker`       the process that loads the model once and processes videos
`pool`         starts workers, limits time and memory per video, retries
`cluster`      connects to a Ray cluster
`ray_pool`     Ray actors, each with a pool of one worker
`journal`      the file of rows: complete lines only, each video once
`parquet`      the same rows as a Parquet file
`running`      `run` and `on_ray`
`progress`     the progress of a batch
=============  ==================================================================================
"""

from movinet_lite.batch.inputs import find_videos
from movinet_lite.batch.job import Job, Mode
from movinet_lite.batch.pool import Limits
from movinet_lite.batch.progress import BatchProgress
from movinet_lite.batch.running import on_ray, run

__all__ = ["BatchProgress", "Job", "Limits", "Mode", "find_videos", "on_ray", "run"]
