import { OpenAPIHono, z } from "@hono/zod-openapi";
export function openApi(version: string, _versions: unknown) {
  return new OpenAPIHono().getOpenAPI31Document({ openapi: "3.1.0", info: { title: "subspan", version } }) ?? z;
}
