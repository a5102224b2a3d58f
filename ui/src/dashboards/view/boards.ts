// The API for dashboards, in the shapes that Grafana's tools know: a list, one with what is known of it, saving, versions, folders.
// Not what a dashboard means (model/).
import { isRecord, request } from "../../api/request";
import { numberIn, recordIn, recordsIn, textIn } from "../../api/fields";
import type { KnownSource } from "../sources/kinds";
import type { Fields } from "../model/types";
import { texts } from "../model/values";

const ROOT = "/api/dashboards";

export interface Hit {
  uid: string;
  title: string;
  tags: string[];
  folder: string;
  folderUid: string;
  url: string;
  starred: boolean;
}
export interface Meta {
  folderUid: string;
  folderTitle: string;
  /** Comes from a file or a pack: it can be copied, not saved over. */
  provisioned: boolean;
  canSave: boolean;
  version: number | null;
  slug: string;
}
export interface Version {
  version: number;
  created: string | null;
  by: string;
  message: string;
}
export interface Saved {
  uid: string;
  version: number | null;
  url: string;
}

export async function searchBoards(params: Record<string, string>, signal?: AbortSignal): Promise<Hit[]> {
  const body = await request("/api/search", { params: { type: "dash-db", limit: "5000", ...params }, signal });
  return (Array.isArray(body) ? body.filter(isRecord) : []).flatMap((it): Hit[] => {
    const uid = textIn(it, "uid");
    return uid === null || it["type"] === "dash-folder" ? [] : [{ uid, title: textIn(it, "title") ?? uid, tags: texts(it, "tags"), folder: textIn(it, "folderTitle") ?? "", folderUid: textIn(it, "folderUid") ?? "", url: textIn(it, "url") ?? `/d/${uid}`, starred: it["isStarred"] === true }];
  });
}

export async function boardOf(uid: string, signal?: AbortSignal): Promise<{ raw: Fields; meta: Meta }> {
  const body = await request(`${ROOT}/uid/${encodeURIComponent(uid)}`, { signal });
  const fields = isRecord(body) ? body : {};
  const meta = recordIn(fields, "meta");
  return {
    raw: recordIn(fields, "dashboard"),
    meta: { folderUid: textIn(meta, "folderUid") ?? "", folderTitle: textIn(meta, "folderTitle") ?? "", provisioned: meta["provisioned"] === true, canSave: meta["canSave"] !== false, version: numberIn(meta, "version"), slug: textIn(meta, "slug") ?? "" },
  };
}

export async function saveBoard(dashboard: Fields, options: { overwrite: boolean; message: string; folderUid: string }): Promise<Saved> {
  const body = await request(`${ROOT}/db`, { method: "POST", json: { dashboard, ...options } });
  const fields = isRecord(body) ? body : {};
  return { uid: textIn(fields, "uid") ?? "", version: numberIn(fields, "version"), url: textIn(fields, "url") ?? "" };
}

export async function removeBoard(uid: string): Promise<void> {
  await request(`${ROOT}/uid/${encodeURIComponent(uid)}`, { method: "DELETE" });
}

export async function versionsOf(uid: string, signal?: AbortSignal): Promise<Version[]> {
  const body = await request(`${ROOT}/uid/${encodeURIComponent(uid)}/versions`, { signal });
  const list = Array.isArray(body) ? body.filter(isRecord) : recordsIn(isRecord(body) ? body : {}, "versions");
  return list.flatMap((it): Version[] => {
    const version = numberIn(it, "version");
    return version === null ? [] : [{ version, created: textIn(it, "created"), by: textIn(it, "createdBy") ?? "", message: textIn(it, "message") ?? "" }];
  });
}

export async function versionOf(uid: string, version: number, signal?: AbortSignal): Promise<Fields> {
  const body = await request(`${ROOT}/uid/${encodeURIComponent(uid)}/versions/${version}`, { signal });
  const fields = isRecord(body) ? body : {};
  return isRecord(fields["data"]) ? fields["data"] : fields;
}

export async function restoreVersion(uid: string, version: number): Promise<void> {
  await request(`${ROOT}/uid/${encodeURIComponent(uid)}/restore`, { method: "POST", json: { version } });
}

export interface Folder {
  uid: string;
  title: string;
}
export async function folders(signal?: AbortSignal): Promise<Folder[]> {
  const body = await request("/api/folders", { signal });
  return (Array.isArray(body) ? body.filter(isRecord) : []).flatMap((it): Folder[] => {
    const uid = textIn(it, "uid");
    return uid === null ? [] : [{ uid, title: textIn(it, "title") ?? uid }];
  });
}

/** A server that does not say which data sources it has, has those that this page knows. */
export async function dataSources(signal?: AbortSignal): Promise<KnownSource[]> {
  const body = await request("/api/datasources", { signal }).catch(() => []);
  return (Array.isArray(body) ? body.filter(isRecord) : []).map((it) => ({ uid: textIn(it, "uid") ?? "", name: textIn(it, "name") ?? "", type: textIn(it, "type") ?? "", isDefault: it["isDefault"] === true }));
}
