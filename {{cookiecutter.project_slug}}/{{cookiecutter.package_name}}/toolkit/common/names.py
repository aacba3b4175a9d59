"""Names in the registry that training, release and serving share."""

from __future__ import annotations

#: Aliases of versions.
CHAMPION, CHALLENGER = "champion", "challenger"
#: Tag of a version that keeps it online beside the champion.
SERVE = "serve"
#: Tags of the model: the traffic weights of versions, and the versions that score in the shadow.
TRAFFIC, SHADOW = "traffic", "shadow"
