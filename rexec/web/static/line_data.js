// The points of one plot as the browser holds them: whole at first, then the stretches that are new.

/** Lines that grow and change; each column has its own places (`at`), axis (`x`) and values (`y`). */
export class LineData {
  constructor() {
    this.columns = [];
    this.rows = 0;
    this.step = 1;
    this.hasAxis = false;
  }

  /** Take a part: see "points" in docs/reference/web-protocol.md. */
  take(part, arrays) {
    if (part.is_whole) this.columns = [];
    this.rows = part.rows;
    this.step = part.step;
    this.hasAxis = part.axis;
    const each = part.step === 1 ? 1 : 2;
    const start = part.from * each;
    const total = part.step === 1 ? part.rows : 2 * Math.ceil(part.rows / part.step);
    if (part.step === 1) this.takeTable(part, arrays, start, total);
    else this.takeStretches(part, arrays, start, total);
    for (const column of this.columns) column.length = total;
  }

  copy() {
    const copied = Object.assign(new LineData(), this);
    const whole = (array) => array && array.slice();
    copied.columns = this.columns.map(({ y, x, at, length }) => ({ y: whole(y), x: whole(x), at: whole(at), length }));
    return copied;
  }

  takeTable(part, arrays, start, total) {
    const table = arrays[arrays.length - 1];
    if (!table) return;
    const width = table.shape[1] ?? 1;
    const x = part.axis ? arrays[0] : null;
    for (let number = 0; number < width; number += 1) {
      const column = this.column(number, total, Boolean(x));
      for (let row = 0; row < table.shape[0]; row += 1) column.y[start + row] = table[row * width + number];
      if (x) column.x.set(x, start);
    }
  }

  takeStretches(part, arrays, start, total) {
    const stride = part.axis ? 3 : 2;
    for (let number = 0; number * stride < arrays.length; number += 1) {
      const [at, ...rest] = arrays.slice(number * stride, (number + 1) * stride);
      const column = this.column(number, total, part.axis);
      column.at ??= new Float64Array(column.y.length);
      column.at = room(column.at, total);
      column.at.set(at, start);
      if (part.axis) column.x.set(rest[0], start);
      column.y.set(rest[rest.length - 1], start);
    }
  }

  column(number, total, hasAxis) {
    const column = (this.columns[number] ??= { y: new Float64Array(total), x: null, at: null, length: 0 });
    column.y = room(column.y, total);
    if (hasAxis) column.x = room(column.x ?? new Float64Array(total), total);
    return column;
  }

  /** The coordinates of a column: on the axis, or the numbers of the rows. */
  along(number, offset = 0) {
    const column = this.columns[number];
    if (column.x) return column.x.subarray(0, column.length);
    if (column.at) return column.at.subarray(0, column.length).map((each) => each + offset);
    return Float64Array.from({ length: column.length }, (_, row) => row + offset);
  }

  values(number) {
    const column = this.columns[number];
    return column.y.subarray(0, column.length);
  }

  /** The rows from the last known point before a range of coordinates to the first one behind it; null: none. */
  rowsWithin(low, high) {
    let first = Infinity;
    let last = -Infinity;
    for (const [number, column] of this.columns.entries()) {
      const along = this.along(number);
      const rowOf = (index) => (column.at ? column.at[index] : index);
      for (let index = 0; index < along.length; index += 1) {
        // Between two extremes there are points that are not here: the range may lie there.
        const before = along[Math.max(index - 1, 0)];
        if (Math.max(before, along[index]) < low || Math.min(before, along[index]) > high) continue;
        first = Math.min(first, rowOf(Math.max(index - 1, 0)));
        last = Math.max(last, rowOf(index));
      }
    }
    if (first > last) return null;
    return [first, Math.min(last + 1, this.rows)];
  }
}

function room(array, total) {
  if (array.length >= total) return array;
  const larger = new Float64Array(Math.max(total, 2 * array.length));
  larger.set(array);
  return larger;
}
