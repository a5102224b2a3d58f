// Which rows of a long list are drawn: all rows are equally high, but that one may be unfolded below itself. Only arithmetic.

export interface Layout {
  count: number;
  rowHeight: number;
  /** The row that is unfolded, or -1, and how high its details are. */
  open: number;
  openHeight: number;
}
/** Rows that are drawn above and below what is seen. */
const OVERSCAN = 12;

export function totalHeight({ count, rowHeight, open, openHeight }: Layout): number {
  return count * rowHeight + (open >= 0 ? openHeight : 0);
}

export function topOf(index: number, { rowHeight, open, openHeight }: Layout): number {
  return index * rowHeight + (open >= 0 && index > open ? openHeight : 0);
}

export function indexAt(offset: number, layout: Layout): number {
  const { count, rowHeight, open, openHeight } = layout;
  const edge = (open + 1) * rowHeight;
  let index = Math.floor(offset / rowHeight);
  if (open >= 0 && offset >= edge) index = offset < edge + openHeight ? open : Math.floor((offset - openHeight) / rowHeight);
  return Math.max(0, Math.min(count - 1, index));
}

/** From the first to before the last that is drawn. */
export function drawn(scrollTop: number, viewHeight: number, layout: Layout): { from: number; to: number } {
  if (layout.count === 0) return { from: 0, to: 0 };
  const from = Math.max(0, indexAt(scrollTop, layout) - OVERSCAN);
  const to = Math.min(layout.count, indexAt(scrollTop + viewHeight, layout) + 1 + OVERSCAN);
  return { from, to };
}

/** Where to scroll so that a row is seen, as little as possible. */
export function scrollFor(index: number, scrollTop: number, viewHeight: number, layout: Layout): number {
  const top = topOf(index, layout);
  if (top < scrollTop) return top;
  const bottom = top + layout.rowHeight;
  return bottom > scrollTop + viewHeight ? bottom - viewHeight : scrollTop;
}
