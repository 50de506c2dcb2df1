"""Processes many videos with a pool of workers, and keeps the results through any interruption.

=============  ==================================================================================
module         what it holds
=============  ==================================================================================
`inputs`       from folders, patterns and lists to the paths of videos
`job`          what is computed for each video, by which model
`one_video`    from the path of one video to its row: the same function everywhere
`storage`      fetches a video from remote storage
`worker`       the process that loads the model once and takes one video after the other
`pool`         starts workers, limits the time and the memory of a video, tries again
`journal`      the file of rows: whole lines only, each video once
`parquet`      the same rows as a Parquet file
`running`      `run`: all of it
`progress`     how far a batch is
=============  ==================================================================================
"""

from movinet_lite.batch.inputs import find_videos
from movinet_lite.batch.job import Job, Mode
from movinet_lite.batch.pool import Limits
from movinet_lite.batch.progress import BatchProgress
from movinet_lite.batch.running import run

__all__ = ["BatchProgress", "Job", "Limits", "Mode", "find_videos", "run"]
