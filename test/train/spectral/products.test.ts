import { Matrix } from "ml-matrix";
import { expect, test } from "vitest";
import { Random } from "../../../train/random.ts";
import { type ProductForm, withProducts } from "../../../train/spectral/products.ts";

const random = new Random(0, "products");
const draws = (rows: number, columns: number) => {
  const data = Float64Array.from({ length: rows * columns }, () => random.normal());
  return { data, shape: [rows, columns] };
};
const matrix = ({ data, shape }: { data: ArrayLike<number>; shape: readonly number[] }) =>
  Matrix.from1DArray(shape[0]!, shape[1]!, Array.from(data));

test.each([
  ["ab", [5, 7], [7, 3]],
  ["aTb", [7, 5], [7, 3]],
  ["abT", [5, 7], [3, 7]],
] satisfies [ProductForm, [number, number], [number, number]][])(
  "%s is the product, in float64 and in float32",
  async (form, left, right) => {
    const [a, b] = [draws(...left), draws(...right)];
    const turned = (m: Matrix, turn: boolean) => (turn ? m.transpose() : m);
    const expected = turned(matrix(a), form === "aTb").mmul(turned(matrix(b), form === "abT"));
    await withProducts(async (products) => {
      const exact = await products.multiply(a, b, form);
      expect(exact.data).toBeInstanceOf(Float64Array);
      expect(matrix(exact).sub(expected).abs().max()).toBeLessThan(1e-14);
      const [x, y] = [a, b].map(({ data, shape }) => ({ data: Float32Array.from(data), shape }));
      const rounded = await products.multiply(x!, y!, form);
      expect(rounded.data).toBeInstanceOf(Float32Array);
      expect(matrix(rounded).sub(expected).abs().max()).toBeLessThan(1e-5);
    });
  },
);

test("an empty sum is 0, and factors that do not fit are refused", async () => {
  await withProducts(async (products) => {
    const empty = await products.multiply(draws(2, 0), draws(0, 3));
    expect([...empty.data]).toEqual([0, 0, 0, 0, 0, 0]);
    await expect(products.multiply(draws(2, 3), draws(2, 3))).rejects.toThrow(
      expect.objectContaining({ code: "SHAPE_MISMATCH" }),
    );
  });
});
