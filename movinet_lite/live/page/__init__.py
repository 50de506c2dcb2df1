"""The web page of `watch`: cameras, scores and events, live, and endpoints for programs.

=============  ==================================================================================
module         contents
=============  ==================================================================================
`serving`      `Page`: the port and the thread of the server
`routes`       the routes
`access`       access control: tokens and host names
`scores`       the scores of the last minutes
`event_list`   the last events with their pictures and clips
`metrics`      the state of the watcher for Prometheus
``static/``    the page itself
=============  ==================================================================================
"""

from movinet_lite.live.page.serving import Page

__all__ = ["Page"]
