// Another's OpenID provider for tests: `oidc-provider` from npm, as it comes, on 127.0.0.1. Prints its address.
// usage: node oidc_provider.mjs REDIRECT_URI   (NODE_PATH-free: run it in the folder that holds node_modules)
import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const find = createRequire(join(process.cwd(), 'x.js'));
const { default: Provider } = await import(pathToFileURL(find.resolve('oidc-provider')));

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'isthmus-console',
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        redirect_uris: [process.argv[2]],
      },
      {
        client_id: 'isthmus-secret',
        client_secret: 'hush: & +%',
        redirect_uris: [process.argv[2]],
        application_type: 'native',
      },
    ],
    cookies: { keys: ['test'] },
    pkce: { required: () => true },
  });
  server.on('request', provider.callback());
  console.log(issuer);
});
