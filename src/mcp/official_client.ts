/**
 * What the check takes of the official client, and nothing else: a bundle leaves out the rest.
 *
 * @module
 */
export {
  Client,
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SERVER_INFO_META_KEY,
  SSEClientTransport,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
