// An OpenID provider for the tests: node provider.mjs FOLDER PORT KID...
// It signs with the first key; each key is made once and kept in FOLDER.
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [folder, port, ...kids] = process.argv.slice(2);
const require = createRequire(`${process.env.MODULES}/package.json`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')));

const keys = kids.map((kid) => {
  const file = `${folder}/${kid}.json`;
  if (!existsSync(file)) {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    writeFileSync(file, JSON.stringify({ ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' }));
  }
  return JSON.parse(readFileSync(file));
});

const provider = new Provider(`http://localhost:${port}`, {
  jwks: { keys },
  cookies: { keys: ['not a secret'] },
  scopes: ['orders.read'],
  clients: [{
    client_id: 'service',
    client_secret: 'of-the-service',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    token_endpoint_auth_method: 'client_secret_post',
  }],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'urn:orders',
      getResourceServerInfo: () => ({
        scope: 'orders.read',
        audience: 'orders-api',
        accessTokenTTL: 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'RS256' } },
      }),
    },
  },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
