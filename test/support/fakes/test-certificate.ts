/**
 * A certificate for the names `push.test` and `localhost`, which nobody else trusts, and its key: for tests of TLS on
 * loopback. Valid until 2126.
 */
export const testCertificate = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg/nV3DNyWcN7NfKzu
vDrMHxcxtqXP/KaV0wF2utFCpKGhRANCAAT1M6lGiGZCr1WEImdJ21DwLX4qlKzx
+z5IJ56k+CiMxsNabz22oZLTOOwKN8bKB9blvWGsCowTFUS2TwGyy+0X
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBnzCCAUagAwIBAgIUXWfIEJoO8s3UIRMOh9rotUGjmsIwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJcHVzaC50ZXN0MCAXDTI2MTEyMjE4NDQzMFoYDzIxMjYxMDI5
MTg0NDMwWjAUMRIwEAYDVQQDDAlwdXNoLnRlc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAT1M6lGiGZCr1WEImdJ21DwLX4qlKzx+z5IJ56k+CiMxsNabz22oZLT
OOwKN8bKB9blvWGsCowTFUS2TwGyy+0Xo3QwcjAdBgNVHQ4EFgQUfaT8cyq05Ej+
aqCJmRD2zGwnGagwHwYDVR0jBBgwFoAUfaT8cyq05Ej+aqCJmRD2zGwnGagwDwYD
VR0TAQH/BAUwAwEB/zAfBgNVHREEGDAWgglwdXNoLnRlc3SCCWxvY2FsaG9zdDAK
BggqhkjOPQQDAgNHADBEAiBfeFI7d5Ju4wszVbNcH8j3jrEKtO7KJ7HkYRsQL/VJ
NgIgPSLjZ/kAzZgl+t3KcLrSgts5nAbFuOPCS4ewqfEsrx4=
-----END CERTIFICATE-----`,
};
