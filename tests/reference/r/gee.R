# Rscript gee.R: writes gee.json beside it (Debian: r-cran-geepack, r-cran-jsonlite)
# geeglm stops at its tolerance, so its answer is the start of more of the same steps here; `package` holds it as it came.
library(geepack)
library(jsonlite)
rows <- read.csv("grouped.csv")
rows$arm <- factor(rows$arm)
rows$ward <- as.integer(factor(rows$ward))
answer <- function(form, family, corstr) {
  fit <- do.call(geeglm, list(form, family = family, data = rows, id = rows$ward, corstr = corstr, control = geese.control(epsilon = 1e-12, maxit = 100)))
  X <- model.matrix(form, rows); y <- fit$y
  known <- if (is.null(fit$offset)) 0 else fit$offset
  at <- split(seq_len(nrow(X)), rows$ward)
  b <- coef(fit); alpha <- 0
  for (k in 1:200) {
    eta <- as.vector(X %*% b) + known
    mu <- family$linkinv(eta); v <- family$variance(mu)
    e <- (y - mu) / sqrt(v)
    phi <- mean(e^2)
    pairs <- sapply(at, function(i) (sum(e[i])^2 - sum(e[i]^2)) / 2)
    if (corstr == "exchangeable") alpha <- sum(pairs) / phi / sum(choose(lengths(at), 2))
    S <- matrix(0, ncol(X), ncol(X)); U <- NULL
    for (i in at) {
      R <- matrix(alpha, length(i), length(i)); diag(R) <- 1
      D <- sqrt(v[i]) * X[i, , drop = FALSE]
      S <- S + t(D) %*% solve(R, D)
      U <- rbind(U, as.vector(t(D) %*% solve(R, e[i])))
    }
    b <- b + solve(S, colSums(U))
  }
  s <- summary(fit)
  list(
    estimate = as.vector(b), std_error = sqrt(diag(solve(S) %*% (t(U) %*% U) %*% solve(S))), alpha = alpha, scale = phi,
    package = list(
      estimate = unname(coef(fit)), std_error = s$coefficients[, "Std.err"], scale = fit$geese$gamma[[1]],
      alpha = if (corstr == "exchangeable") fit$geese$alpha[[1]] else 0
    )
  )
}
found <- list(
  software = list(R = R.version.string, geepack = as.character(packageVersion("geepack"))),
  binomial = answer(event ~ age + arm, binomial(), "exchangeable"),
  poisson = answer(visits ~ age + arm + offset(log(time)), poisson(), "exchangeable"),
  gaussian = answer(y ~ age + arm + day, gaussian(), "exchangeable"),
  independence = answer(event ~ age + arm, binomial(), "independence")
)
write(toJSON(found, digits = 17, auto_unbox = TRUE), "gee.json")
