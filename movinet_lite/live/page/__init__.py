"""The web page of `watch`: cameras, scores and events, live, and endpoints for programs.

=============  ==================================================================================
module         what it holds
=============  ==================================================================================
`serving`      `Page`: the port, the thread of the server
`routes`       what is at which address
`access`       who may see it: tokens, and names of the host
`scores`       the scores of the last minutes
`event_list`   the last events with their pictures and clips
`metrics`      the state of the watcher for Prometheus
``static/``    the page itself
=============  ==================================================================================
"""

from movinet_lite.live.page.serving import Page

__all__ = ["Page"]
