-- Run once, when the database is made. `fieldgate fleet migrate` makes the tables as `owner`; the gateways sign in as
-- `fieldgate`, which has the rights of fieldgate_gateway and no others.
\set owner_password `cat /run/secrets/postgres-owner`
\set gateway_password `cat /run/secrets/postgres-password`
CREATE ROLE owner LOGIN PASSWORD :'owner_password';
CREATE ROLE fieldgate LOGIN PASSWORD :'gateway_password';
-- They are here so that `owner` need not be able to make roles.
CREATE ROLE fieldgate_gateway NOLOGIN;
CREATE ROLE fieldgate_reader NOLOGIN;
GRANT fieldgate_gateway TO fieldgate;
CREATE DATABASE fieldgate OWNER owner;
REVOKE CONNECT ON DATABASE fieldgate FROM PUBLIC;
GRANT CONNECT ON DATABASE fieldgate TO fieldgate, fieldgate_reader;
