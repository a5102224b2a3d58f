// Addresses that keep what the present one says and change one thing. Not the router, whose bytes every first page pays.
import { router } from "../app/router.svelte";

/** The address of a page with the present parameters, one of them set, or left out when it has no value. */
export function withParam(path: string, name: string, value: string | undefined): string {
  const params = new URLSearchParams(router.params);
  if (value) params.set(name, value);
  else params.delete(name);
  return `${path}${params.size > 0 ? `?${params.toString()}` : ""}`;
}
