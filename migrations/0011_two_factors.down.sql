DROP TRIGGER two_factor_forget ON users;
DROP FUNCTION two_factor_forget;
DROP FUNCTION two_factor_disable, two_factor_fail, two_factor_use, two_factor_enable, two_factor_setup;
DROP TABLE recovery_codes, two_factors;
