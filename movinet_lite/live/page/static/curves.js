// Draws the scores of the last minutes as lines, and events as bands behind them.

export const SPAN_S = 300;
const LINES = 4;
const LOWEST = 0.15; // a label that never had more is no line
const MAX_PAUSE_S = 5; // a line is broken where the camera sent nothing for longer

/** The labels worth a line, best first: [label, highest score]. */
export function leaders(points) {
  const best = new Map();
  for (const [, scores] of points)
    for (const [label, score] of Object.entries(scores))
      if (score > (best.get(label) ?? LOWEST)) best.set(label, score);
  return [...best].sort((a, b) => b[1] - a[1]).slice(0, LINES);
}

/** Draw on a canvas. colours: label to colour; spans: [start, end, label] in seconds since 1970. */
export function draw(canvas, points, labels, colours, spans, now) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const style = getComputedStyle(canvas);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  const left = 24, right = 6, top = 6, bottom = 16;
  const x = (at) => left + (1 - (now - at) / SPAN_S) * (width - left - right);
  const y = (score) => top + (1 - score) * (height - top - bottom);

  pen.font = "10px system-ui, sans-serif";
  pen.fillStyle = style.getPropertyValue("--faint");
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.lineWidth = 1;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const score of [0, 0.5, 1]) {
    const at = Math.round(y(score)) + 0.5;
    pen.beginPath();
    pen.moveTo(left, at);
    pen.lineTo(width - right, at);
    pen.stroke();
    pen.fillText(score === 0.5 ? "½" : String(score), left - 6, at);
  }
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  pen.fillText("5 min ago", left, height - 3);
  pen.textAlign = "right";
  pen.fillText("now", width - right, height - 3);

  pen.save();
  pen.beginPath();
  pen.rect(left, 0, width - left - right, height);
  pen.clip();
  for (const [start, end, label] of spans) {
    if (end < now - SPAN_S) continue;
    pen.globalAlpha = 0.16;
    pen.fillStyle = colours.get(label) ?? style.getPropertyValue("--accent");
    pen.fillRect(x(start), top, Math.max(x(end) - x(start), 2), height - top - bottom);
  }
  pen.globalAlpha = 1;
  pen.lineWidth = 1.75;
  pen.lineJoin = "round";
  for (const label of [...labels].reverse()) {
    pen.strokeStyle = colours.get(label);
    pen.beginPath();
    let last = -Infinity;
    for (const [at, scores] of points) {
      const to = [x(at), y(scores[label] ?? 0)];
      if (at - last > MAX_PAUSE_S) pen.moveTo(...to);
      else pen.lineTo(...to);
      last = at;
    }
    pen.stroke();
  }
  pen.restore();
}
