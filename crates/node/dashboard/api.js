// The node's interface. Requests carry what the page was told when its person signed in: it is kept where pages of other ports cannot read it.

const KEY = "privity-csrf";
let csrf = null;
try {
  csrf = localStorage.getItem(KEY);
} catch { /* it lasts until the page is loaded again */ }

function remember(value) {
  csrf = value;
  try {
    if (value) localStorage.setItem(KEY, value);
    else localStorage.removeItem(KEY);
  } catch { /* as above */ }
}

/** An answer that is an error. */
export class Problem extends Error {
  constructor(status, text) {
    const [, code, words] = /^(?:(E\d{4}) )?(.*)$/s.exec(text);
    super(words || `the node answered with status ${status}`);
    this.status = status;
    this.code = code;
  }
}

async function call(method, path, body, poll) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (csrf) headers["x-privity-csrf"] = csrf;
  if (poll) headers["x-privity-poll"] = "1";
  let answer;
  try {
    answer = await fetch(`/api/v1/${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), credentials: "same-origin" });
  } catch {
    throw new Problem(0, "The node does not answer. See whether it runs.");
  }
  const text = await answer.text();
  if (!answer.ok) {
    const problem = new Problem(answer.status, text);
    if (answer.status === 401 && !["session", "session/provider"].includes(path)) dispatchEvent(new Event("signed-out"));
    throw problem;
  }
  return JSON.parse(text);
}

/** Asks. `poll` says that nobody asked the page to. */
export const get = (path, poll = false) => call("GET", path, undefined, poll);
export const post = (path, body) => call("POST", path, body);
export const put = (path, body) => call("PUT", path, body);
export const remove = (path) => call("DELETE", path);

/** The session that stands, if one does. */
export async function session() {
  try {
    return csrf && await get("session");
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) return null;
    throw problem;
  }
}

export async function signIn(name, password) {
  const session = await post("session", { name, password });
  remember(session.csrf);
  return session;
}

const BEGUN = "privity-provider";

/** What the identity provider is called at which people may sign in, too. */
export const provider = async () => (await get("session/provider")).name;

/** Goes to the identity provider. What shows that this page began stays here, where pages of other ports cannot read it. */
export async function leaveForProvider() {
  const { url, key } = await post("session/provider");
  sessionStorage.setItem(BEGUN, key);
  location.assign(url);
}

/** Whether the browser comes back from the identity provider. */
export const comesBack = () => location.pathname === "/oidc";

/** Signs in with what the browser came back with, which leaves the address and the history. */
export async function signInFromProvider() {
  const said = new URLSearchParams(location.search);
  history.replaceState(null, "", "/");
  const key = sessionStorage.getItem(BEGUN);
  sessionStorage.removeItem(BEGUN);
  const [code, state, error] = ["code", "state", "error"].map((name) => said.get(name));
  if (error) throw new Problem(0, `The identity provider refuses: ${/^[a-z_]{1,40}$/.test(error) ? error : "no reason that is one"}.`);
  if (!code || !state || !key) throw new Problem(0, "This sign-in was not begun in this window. Begin again.");
  const session = await put("session/provider", { code, state, key });
  remember(session.csrf);
  return session;
}

export async function signOut() {
  await remove("session");
  remember(null);
}
