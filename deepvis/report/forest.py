"""Forest plots: findings -> one line of SVG each: estimate, 95 % interval and zero, on one scale a unit."""

import math
from collections.abc import Sequence

from deepvis.report.conclusions import Finding, Interval

WIDTH, HEIGHT = 240, 22  # px
EDGE = 8  # px left and right of the scale


def rows(findings: Sequence[Finding]) -> list[str]:
    """The plot of each finding; nothing where it has no interval."""
    scales: dict[str, tuple[float, float]] = {}
    for finding in findings:
        if effect := known(finding):
            low, high = scales.get(effect.unit, (0.0, 0.0))
            scales[effect.unit] = (
                min(low, effect.low, effect.estimate),
                max(high, effect.high, effect.estimate),
            )
    return [
        _row(effect, scales[effect.unit], finding.is_established) if (effect := known(finding)) else ""
        for finding in findings
    ]


def known(finding: Finding) -> Interval | None:
    """The effect of a finding, if its estimate and both ends are numbers."""
    effect = finding.effect
    if effect is None or not all(map(math.isfinite, (effect.estimate, effect.low, effect.high))):
        return None
    return effect


def words(effect: Interval) -> str:
    """``+12 % (7 to 18 %)``."""
    unit = f"\u00a0{effect.unit}" if effect.unit else ""
    return f"{effect.estimate:+.3g}{unit} ({effect.low:.3g} to {effect.high:.3g}{unit})".replace(
        "-", "\u2212"
    )


def _row(effect: Interval, scale: tuple[float, float], is_established: bool) -> str:
    low, high = scale if scale[0] < scale[1] else (-1.0, 1.0)

    def x(value: float) -> str:
        return f"{EDGE + (WIDTH - 2 * EDGE) * (value - low) / (high - low):.1f}"

    middle, label = HEIGHT / 2, f"{words(effect)}, on a scale from {low:.3g} to {high:.3g}"
    inside = "var(--line)" if is_established else "var(--ground)"
    return (
        f'<svg class="forest" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{label}</title>"
        f'<line x1="{x(0)}" x2="{x(0)}" y1="0" y2="{HEIGHT}" stroke="var(--quiet)" stroke-dasharray="2 2"/>'
        f'<line x1="{x(effect.low)}" x2="{x(effect.high)}" y1="{middle}" y2="{middle}" '
        'stroke="var(--line)" stroke-width="2"/>'
        f'<circle cx="{x(effect.estimate)}" cy="{middle}" r="4" fill="{inside}" stroke="var(--line)" '
        'stroke-width="2"/></svg>'
    )
