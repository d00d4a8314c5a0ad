/** All eigenpairs of a small symmetric matrix, largest eigenvalue first. */
export interface DenseEigenpairs {
  /** [n], descending. */
  readonly values: Float64Array;
  /** [n, n], row-major: column j belongs to values[j]; orthonormal. */
  readonly vectors: Float64Array;
}

/**
 * All eigenpairs of a dense symmetric matrix by cyclic Jacobi rotations: simple, and accurate to rounding. O(n^3) a sweep,
 * 6 to 10 sweeps: for n up to about 200.
 *
 * @param matrix - [n, n]; only its symmetric part counts. Not changed.
 * @see Golub & Van Loan, Matrix Computations, 4th ed., section 8.5.
 */
export function symmetricEigen(matrix: Float64Array, n: number): DenseEigenpairs {
  const a = symmetricPart(matrix, n);
  const rows = new Float64Array(n * n); // row j: the j-th eigenvector
  for (let i = 0; i < n; i++) rows[i * n + i] = 1;
  const norm = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  // Rotations of entries this small change nothing, and the rotations converge quadratically: 60 sweeps are never met.
  const negligible = norm * 1e-17;
  for (let sweep = 0; sweep < 60; sweep++) {
    let rotations = 0;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        if (Math.abs(a[p * n + q]!) <= negligible) continue;
        rotate(a, rows, n, p, q);
        rotations++;
      }
    }
    if (rotations === 0) break;
  }
  return sortedEigenpairs(
    Float64Array.from({ length: n }, (_, i) => a[i * n + i]!),
    rows,
    n,
  );
}

/** Zeroes a_pq by a rotation of the plane (p, q), and turns the eigenvectors with it. */
function rotate(a: Float64Array, rows: Float64Array, n: number, p: number, q: number): void {
  const ratio = (a[q * n + q]! - a[p * n + p]!) / (2 * a[p * n + q]!);
  const tangent = (ratio < 0 ? -1 : 1) / (Math.abs(ratio) + Math.hypot(1, ratio));
  const cosine = 1 / Math.hypot(1, tangent);
  const sine = tangent * cosine;
  for (let i = 0; i < n; i++) {
    const ip = a[i * n + p]!;
    const iq = a[i * n + q]!;
    a[i * n + p] = cosine * ip - sine * iq;
    a[i * n + q] = sine * ip + cosine * iq;
  }
  turnRows(a, n, p, q, cosine, sine);
  turnRows(rows, n, p, q, cosine, sine);
  a[p * n + q] = a[q * n + p] = 0;
}

function turnRows(a: Float64Array, n: number, p: number, q: number, cosine: number, sine: number): void {
  for (let i = 0; i < n; i++) {
    const pi = a[p * n + i]!;
    const qi = a[q * n + i]!;
    a[p * n + i] = cosine * pi - sine * qi;
    a[q * n + i] = sine * pi + cosine * qi;
  }
}

/** (A + A^T) / 2, [n, n]. */
export function symmetricPart(matrix: Float64Array, n: number): Float64Array {
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) a[i * n + j] = (matrix[i * n + j]! + matrix[j * n + i]!) / 2;
  }
  return a;
}

/** Eigenpairs in order, from values, [n], and the vectors as rows, [n, n]. */
export function sortedEigenpairs(unsorted: Float64Array, rows: Float64Array, n: number): DenseEigenpairs {
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => unsorted[j]! - unsorted[i]! || i - j);
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) vectors[i * n + j] = rows[order[j]! * n + i]!;
  }
  return { values: Float64Array.from(order, (i) => unsorted[i]!), vectors };
}
