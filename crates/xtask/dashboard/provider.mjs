// An identity provider that knows one person: what OpenID Connect asks of one, as far as a dashboard uses it.

import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { createServer } from "node:http";

const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const base64 = (value) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

function token(claims) {
  const body = `${base64({ alg: "RS256", kid: "1", typ: "JWT" })}.${base64(claims)}`;
  return `${body}.${sign("sha256", Buffer.from(body), privateKey).toString("base64url")}`;
}

/** Serves until it is closed: its issuer, and how to close it. `person` is who signs in at it, of these groups. */
export async function provider(person, groups) {
  const begun = new Map();
  const server = createServer(async (request, answer) => {
    const issuer = `http://127.0.0.1:${server.address().port}`;
    const url = new URL(request.url, issuer);
    const json = (value) => answer.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
    const refuse = (error) => answer.writeHead(400, { "content-type": "application/json" }).end(JSON.stringify({ error }));
    if (url.pathname === "/.well-known/openid-configuration") {
      return json({
        issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/keys`,
        response_types_supported: ["code"], subject_types_supported: ["public"], id_token_signing_alg_values_supported: ["RS256"],
        token_endpoint_auth_methods_supported: ["none"], code_challenge_methods_supported: ["S256"],
      });
    }
    if (url.pathname === "/keys") return json({ keys: [{ ...publicKey.export({ format: "jwk" }), kid: "1", alg: "RS256", use: "sig" }] });
    if (url.pathname === "/authorize") {
      const [asked, code] = [Object.fromEntries(url.searchParams), randomUUID()];
      begun.set(code, asked);
      const back = new URL(asked.redirect_uri);
      back.searchParams.set("code", code);
      back.searchParams.set("state", asked.state);
      const href = back.href.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
      return answer.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end(`<!doctype html><title>Sign in</title><a href="${href}">Go on as ${person}</a>`);
    }
    if (url.pathname !== "/token") return refuse("not_found");
    let text = "";
    for await (const part of request) text += part;
    const form = new URLSearchParams(text);
    const asked = begun.get(form.get("code"));
    begun.delete(form.get("code"));
    const shown = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url");
    if (!asked || shown !== asked.code_challenge || asked.code_challenge_method !== "S256" || form.get("redirect_uri") !== asked.redirect_uri) return refuse("invalid_grant");
    const now = Math.floor(Date.now() / 1000);
    const claims = { iss: issuer, sub: "1", aud: asked.client_id, iat: now, exp: now + 300, nonce: asked.nonce, preferred_username: person, groups };
    return json({ access_token: randomUUID(), token_type: "Bearer", expires_in: 300, id_token: token(claims) });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { issuer: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
