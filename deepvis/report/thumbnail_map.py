"""Thumbnails in a plane: a picture of a grid on which none lies over another, and an HTML page to zoom."""

import base64
import html
import io
import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from deepvis.report.heat_pictures import shown

THUMBNAIL, PLANE = 96, 2000  # px: the longer side of a thumbnail, and of the page's plane
MARGIN = 4  # px between thumbnails of the grid
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ margin: 0; overflow: hidden; background: #111; color: #ddd; font: 14px sans-serif; }}
#plane {{ position: absolute; transform-origin: 0 0; }}
#plane img {{ position: absolute; transform-origin: 50% 50%; }}
#plane img:hover {{ outline: 2px solid #fff; z-index: 1; }}
p {{ position: fixed; left: 8px; top: 8px; margin: 0; background: #111c; padding: 4px; z-index: 2; }}
</style>
<p>{title}: wheel zooms, dragging moves, {tooltip} is its tooltip</p><div id="plane"></div>
<script>
const items = {items}, side = {plane}, tile = {tile};
const plane = document.getElementById("plane");
const images = items.map(([x, y, name, data]) => {{
  const image = new Image();
  image.src = "data:image/webp;base64," + data; image.title = image.alt = name; image.draggable = false;
  image.style.left = x + "px"; image.style.top = y + "px";
  if (tile) image.style.width = image.style.height = tile + "px";
  plane.append(image);
  return image;
}});
let scale = Math.min(innerWidth, innerHeight) / (1.1 * (side + tile));
let left = innerWidth / 2 - scale * side / 2, top_ = 20 + (tile && 30 + scale * tile / 2);
function draw() {{
  plane.style.transform = `translate(${{left}}px, ${{top_}}px) scale(${{scale}})`;
  // Thumbnails grow slower than the plane, so that zooming parts those that lie over one another.
  const size = tile ? 1 : 1 / Math.sqrt(Math.max(scale, 0.05));
  for (const image of images) image.style.transform = `translate(-50%, -50%) scale(${{size}})`;
}}
addEventListener("wheel", (event) => {{
  const factor = Math.exp(-event.deltaY / 500);
  left = event.clientX - factor * (event.clientX - left);
  top_ = event.clientY - factor * (event.clientY - top_);
  scale *= factor; draw(); event.preventDefault();
}}, {{passive: false}});
addEventListener("pointermove", (event) => {{
  if (event.buttons & 1) {{ left += event.movementX; top_ += event.movementY; draw(); }}
}});
addEventListener("resize", draw); draw();
</script></html>
"""


def thumbnail(image: np.ndarray) -> Image.Image:
    """An image of grey levels, at most `THUMBNAIL` px long."""
    picture = Image.fromarray(shown(image))
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return picture


def picture(images: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Thumbnails in their cells, uint8 [H, W, 3].

    Args:
      images: ``[n, H, W, C]``, grey levels from 0 to 255.
      cells: ``[n, 2]``, rows and columns, each once.
    """
    small = [np.asarray(thumbnail(image)) for image in images]
    height, width = (side + MARGIN for side in small[0].shape[:2])
    rows, columns = cells.max(axis=0) + 1
    page = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for each, (i, j) in zip(small, cells, strict=True):
        page[i * height : i * height + each.shape[0], j * width : j * width + each.shape[1]] = each
    return page


def page(
    images: np.ndarray, places: np.ndarray, names: Sequence[str], title: str, tiled: bool = False
) -> str:
    """The page: thumbnails at their places, one file without links to others.

    Args:
      images: ``[n, H, W, C]``, grey levels from 0 to 255.
      places: ``[n, 2]``, x to the right, y up.
      names: of the images.
      title: of the page.
      tiled: whether the places are whole numbers, and an image is as large as from one to the next.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    span = max(float((high - low).max()), 1e-12)
    scaled = (places - low) / span
    tile = PLANE / max(span, 1) if tiled else 0
    items = []
    for image, (x, y), name in zip(images, scaled, names, strict=True):
        file = io.BytesIO()
        thumbnail(image).save(file, "webp", quality=80)
        data = base64.b64encode(file.getvalue()).decode()
        items.append([round(x * PLANE), round((1 - y) * PLANE), name, data])
    listed = json.dumps(items).replace("</", "<\\/")  # a name may hold the end of a script
    tooltip = "what is in a cell" if tiled else "a photograph's name"
    return PAGE.format(title=html.escape(title), items=listed, plane=PLANE, tile=tile, tooltip=tooltip)
