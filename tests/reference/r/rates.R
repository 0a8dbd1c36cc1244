# Rscript rates.R: writes rates.json beside it (Debian: r-cran-jsonlite)
library(jsonlite)
rows <- read.csv("cohort.csv")
rows$years <- rows$days / 365.25
one <- function(s) { # poisson.test's limits, from their definition (its own interval stops at a tolerance for none)
  d <- sum(s$died); t <- sum(s$years); p <- poisson.test(d, t)
  list(events = d, person_time = t, rate = unname(p$estimate), conf_low = p$conf.int[1], conf_high = p$conf.int[2])
}
weights <- c(f = 3, m = 1) / 4
direct <- function(s) { # as epitools::ageadjust.direct, written out
  d <- tapply(s$died, s$sex, sum); t <- tapply(s$years, s$sex, sum)
  r <- sum(weights * d / t); v <- sum(weights^2 * d / t^2); m <- max(weights / t)
  list(rate = r, low = qgamma(0.025, r^2 / v, scale = v / r), high = qgamma(0.975, (r + m)^2 / (v + m^2), scale = (v + m^2) / (r + m)), variance = v)
}
parts <- split(rows, rows$arm)
crude <- lapply(parts, one); adjusted <- lapply(parts, direct)
write(toJSON(list(
  software = list(R = R.version.string), all = one(rows), crude = crude, adjusted = adjusted,
  ratio = list(estimate = log(crude$b$rate / crude$a$rate), std_error = sqrt(1 / crude$a$events + 1 / crude$b$events)),
  standardised = list(estimate = log(adjusted$b$rate / adjusted$a$rate), std_error = sqrt(sum(sapply(adjusted, function(x) x$variance / x$rate^2))))
), digits = 17, auto_unbox = TRUE), "rates.json")
