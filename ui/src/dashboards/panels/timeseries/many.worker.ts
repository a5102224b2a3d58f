// Draws very many lines beside the page, as a bitmap: of each column a stroke from its least to its most, so that no peak is lost. Not the
// axes, and not which columns there are (many.ts).
import type { Columns, Order, Paint, Reply } from "./many";

let lines: Columns[] = [];

onmessage = ({ data }: MessageEvent<Order>) => {
  if ("load" in data) {
    lines = data.load;
    return;
  }
  const reply: Reply = { key: data.paint.key, bitmap: paint(data.paint) };
  postMessage(reply, { transfer: [reply.bitmap] });
};

function paint(wanted: Paint): ImageBitmap {
  const canvas = new OffscreenCanvas(Math.max(1, wanted.width), Math.max(1, wanted.height));
  const ctx = canvas.getContext("2d");
  if (ctx) {
    ctx.lineWidth = wanted.line;
    ctx.lineJoin = "round";
    const off = new Set(wanted.off);
    lines.forEach((it, index) => {
      if (!off.has(index)) line(ctx, it, wanted);
    });
  }
  return canvas.transferToImageBitmap();
}

function line(ctx: OffscreenCanvasRenderingContext2D, { points, color }: Columns, { low, high, log, width, height, columns }: Paint): void {
  const scale = log ? Math.log : (it: number): number => it;
  const [a, b] = [scale(low), scale(high)];
  const place = (value: number): number => Math.min(2 * height, Math.max(-height, height * (1 - (scale(value) - a) / (b - a))));
  ctx.strokeStyle = color;
  ctx.beginPath();
  let drawn = false;
  for (let at = 0; at < points.length; at += 3) {
    const [x, least, most] = [((points[at] ?? 0) * width) / columns, place(points[at + 1] ?? Number.NaN), place(points[at + 2] ?? Number.NaN)];
    if (Number.isNaN(least)) {
      drawn = false;
      continue;
    }
    if (drawn) ctx.lineTo(x, least);
    else {
      // A point alone is seen as a dot.
      ctx.moveTo(x, least);
      ctx.lineTo(x + 0.5, least);
    }
    if (most !== least) ctx.lineTo(x, most);
    drawn = true;
  }
  ctx.stroke();
}
