"""A saved view: the state with which MLflow's UI opens on a sweep's comparison.

MLflow's UI keeps a view in a tag of the experiment. Its format is undocumented: it was read from
the UI's bundle and tried in a browser with MLflow 3.17.2 (tests/browser/test_browser.py). Another version
may ignore the view and show its defaults; nothing else depends on it.

`state` makes the UI's state, a plain dict; `tag` packs it and `link` opens it. A sweep's id is the view's key
too, so it must be a valid MLflow tag key without quotes.
"""

import base64
import json
import time
import zlib
from collections.abc import Sequence
from urllib.parse import quote

PREFIX = "mlflow.sharedViewState."
LIMIT = 8000

# The UI has no setting for the size of images: the columns share the page's width, and an image is
# as high as its column is wide. A card's height is fixed, so it can fit one width only: a window of
# 1600 pixels leaves 780 to the images. In a wider one the card scrolls inside.
WIDTH = 780
SMALLEST = 150


def state(
    sweep: str, image_keys: Sequence[str], curves: Sequence[str], params: Sequence[str], *,
    others: Sequence[str] = (), runs: int = 4, shown: str = "", order: str = "attributes.start_time",
) -> dict:  # fmt: skip
    """The view of one sweep: curves above, below them the images, a row a key and a column a run.

    `others` are names of further metrics and images, whose generated charts are to stay closed.

    The UI shows the images of ten runs at most: the last ten in its order. Of a larger sweep the view holds
    the runs that have the tag `shown` alone. `runs` only sets the height of the page; `order` is what sorts
    the runs.
    """
    row = max(SMALLEST, WIDTH // max(runs, 1))
    lines = [
        {"uuid": f"line-{index}", "type": "LINE", "metricSectionId": "Curves", "metricKey": curve,
         "displayName": curve, "xAxisKey": "step", "lineSmoothness": 0}  # else the UI smooths the curves
        for index, curve in enumerate(curves)
    ]  # fmt: skip
    grid = {"uuid": "grid", "type": "IMAGE", "metricSectionId": "Images", "imageKeys": list(image_keys),
            "step": 0, "showRunParams": False}  # fmt: skip
    prefixes = {key.rpartition("/")[0] for key in [*image_keys, *curves, *others]} - {""}
    return {
        "searchFilter": search_filter(sweep, shown),
        # The grid's columns run against the list, so the last run comes first in the list.
        "orderByKey": order,
        "orderByAsc": False,
        "selectedColumns": [f"params.`{name}`" for name in params] + [f"metrics.`{name}`" for name in curves],
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [*lines, grid],
        "compareRunSections": [
            _section("Curves", display=True, columns=min(len(curves), 3), cardHeight=360),
            _section("Images", display=True, columns=1, cardHeight=160 + row * len(image_keys)),
            # Those of the charts that the UI makes of every image and metric, by prefix.
            *(
                _section(name, display=False)
                for name in [*sorted(prefixes), "Model metrics", "System metrics"]
            ),
        ],
        "isAccordionReordered": True,  # else the UI sorts the sections by name
    }


def search_filter(sweep: str, shown: str = "") -> str:
    """What MLflow searches for: the runs of a sweep's jobs, or those of them that have a tag."""
    return f"tags.sweep = '{sweep}' and tags.kind = 'job'" + (f" and tags.{shown} = 'yes'" if shown else "")


def tag(sweep: str, name: str, view: dict) -> tuple[str, str]:
    """The experiment's tag, key and value, that holds the view under a name people read.

    The value stays under 8,000 characters: image keys that do not fit are dropped from the end.
    """
    value = _pack(name, view)
    while len(value) >= LIMIT and any(chart.get("imageKeys") for chart in view["compareRunCharts"]):
        charts = [
            {**chart, "imageKeys": chart["imageKeys"][:-1]} if "imageKeys" in chart else chart
            for chart in view["compareRunCharts"]
        ]
        view = {**view, "compareRunCharts": charts}
        value = _pack(name, view)
    return PREFIX + sweep, value


def link(base: str, experiment_id: str, sweep: str) -> str:
    """The address that opens the view.

    The UI ignores the view when the address holds a filter or an order as well. It adds both itself
    once it has opened the view, so pass this link on and not the one in the address bar.
    """
    return (
        f"{base.rstrip('/')}/#/experiments/{experiment_id}/runs"
        f"?viewStateShareKey={quote(sweep, safe='')}"
        "&compareRunsMode=CHART&workflowType=machine_learning"
    )


def _section(name: str, **settings: int) -> dict:
    return {"uuid": name, "name": name, **settings}


def _pack(name: str, view: dict) -> str:
    packed = zlib.compress(json.dumps(view, separators=(",", ":")).encode(), 9)
    text = "deflate;" + base64.b64encode(packed).decode()
    now = int(time.time() * 1000)
    return json.dumps({"name": name, "createdAt": now, "updatedAt": now, "state": text})
